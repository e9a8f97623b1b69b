//! `millgate probe opc.tcp://...`: nodes with value, type, status and both time stamps, once or again and again.

use super::report::number;
use super::screen::Screen;
use super::table;
use crate::acquire::opc_ua::{Client, Look};
use crate::clock::Clock;
use crate::commands::{Exit, Failure, session, terminal};
use crate::model::{LinkError, UtcTime};
use crate::settings::Node;
use serde_json::{Value as Json, json};
use std::time::Duration;

/// What is looked at, and how it is told.
pub(super) struct Watched {
    pub(super) endpoint: String,
    pub(super) nodes: Vec<Node>,
    pub(super) json: bool,
    /// How often; once where it is left out.
    pub(super) every: Option<Duration>,
}

/// Looks, once or until `end`.
///
/// # Errors
/// 69 when the session breaks, or a node has no value at a single look.
pub(super) async fn probe(
    mut client: Client,
    watched: &Watched,
    end: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let looked = look_on(&mut client, watched, end).await;
    client.close().await;
    looked
}

async fn look_on(
    client: &mut Client,
    watched: &Watched,
    end: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let Some(every) = watched.every else {
        let looks = client.read(&watched.nodes).await.map_err(unavailable)?;
        terminal::print(&told(watched, &looks))?;
        let missing = looks.iter().any(|look| look.value.is_err());
        return if missing {
            Err(Failure::told(Exit::Unavailable))
        } else {
            Ok(())
        };
    };
    let mut end = std::pin::pin!(end);
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut screen = Screen::new(!watched.json);
    loop {
        let look = async {
            tick.tick().await;
            client.read(&watched.nodes).await
        };
        let looks = tokio::select! {
            looks = look => looks.map_err(unavailable)?,
            () = &mut end => break,
        };
        let text = told(watched, &looks);
        if watched.json {
            terminal::print(&text)?
        } else {
            screen.show(&text)?
        }
    }
    screen.leave()
}

fn unavailable(error: LinkError) -> Failure {
    Failure::new(Exit::Unavailable, error)
}

fn told(watched: &Watched, looks: &[Look]) -> String {
    let now = Clock::system().now().utc;
    if !watched.json {
        return lines(watched, looks, now);
    }
    let nodes: Vec<Json> = watched
        .nodes
        .iter()
        .zip(looks)
        .map(|(node, look)| report(node, look, now))
        .collect();
    let all = json!({ "url": watched.endpoint, "time": time(now), "nodes": nodes });
    if watched.every.is_some() {
        format!("{all}\n")
    } else {
        format!("{all:#}\n")
    }
}

fn report(node: &Node, look: &Look, now: UtcTime) -> Json {
    json!({
        "node": session::written(node),
        "value": look.value.as_ref().ok().map(number),
        "type": look.kind,
        "elements": look.elements,
        "structure": look.structure,
        "status": look.status,
        "source_time": look.source.map(time),
        "server_time": look.server.map(time),
        "skew_s": skew(look, now),
    })
}

fn lines(watched: &Watched, looks: &[Look], now: UtcTime) -> String {
    let mut text = format!("{} at {} UTC\n", watched.endpoint, clock(now));
    for (node, look) in watched.nodes.iter().zip(looks) {
        text += &format!("\n{}\n", session::written(node));
        let value = match (&look.value, look.structure) {
            (_, true) => "a structure: its fields are read with `field:`".to_owned(),
            (Ok(value), false) => table::number(value),
            (Err(reason), false) => format!("no value ({})", reason.word()),
        };
        let kind = look
            .kind
            .and_then(word)
            .unwrap_or_else(|| "no type of the settings".into());
        let array = look.elements.map_or(String::new(), |count| {
            format!(", the first of {count} elements: `index:` names one")
        });
        text += &format!(
            "  value   {value}   ({kind}{array})\n  status  {}\n",
            look.status
        );
        for (name, stamp) in [("source", look.source), ("server", look.server)] {
            text += &format!(
                "  {name}  {}\n",
                stamp.map_or_else(|| "no time".into(), clock)
            );
        }
        if let Some(skew) = skew(look, now) {
            text += &format!("  its clock is {skew:+.3} s from ours, transport included\n");
        }
    }
    text
}

/// The type as the settings write it.
fn word(kind: crate::settings::shape::TagType) -> Option<String> {
    serde_json::to_value(kind).ok()?.as_str().map(str::to_owned)
}

/// Seconds by which the server's clock is ahead of ours.
fn skew(look: &Look, now: UtcTime) -> Option<f64> {
    look.server
        .map(|server| server.0.saturating_sub(now.0) as f64 / 1e9)
}

fn stamp(time: UtcTime) -> jiff::Timestamp {
    jiff::Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or_default()
}

fn time(time: UtcTime) -> String {
    stamp(time).to_string()
}

fn clock(time: UtcTime) -> String {
    stamp(time).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}
