//! `millgate probe opc.tcp://...`: nodes with value, type, status and both time stamps, once or again and again.

use super::report::number;
use super::screen::Screen;
use super::table;
use crate::acquire::opc_ua::{Client, Look};
use crate::clock::Clock;
use crate::commands::{Exit, Failure, session, terminal};
use crate::model::{LinkError, UtcTime, Value};
use crate::settings::{Namespace, Node};
use serde_json::{Value as Json, json};
use std::time::Duration;

/// `Server.ServerStatus.CurrentTime` (OPC 10000-5).
const CURRENT_TIME: &str = "i=2258";

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
        let (looks, clock) = look(client, watched).await.map_err(unavailable)?;
        terminal::print(&told(watched, &looks, clock))?;
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
        let next = async {
            tick.tick().await;
            look(client, watched).await
        };
        let (looks, clock) = tokio::select! {
            looked = next => looked.map_err(unavailable)?,
            () = &mut end => break,
        };
        let text = told(watched, &looks, clock);
        if watched.json {
            terminal::print(&text)?
        } else {
            screen.show(&text)?
        }
    }
    screen.leave()
}

/// The nodes, and what the server has for the time. A value's own stamps do not tell that: many servers say in both of them
/// when the value last changed.
async fn look(
    client: &mut Client,
    watched: &Watched,
) -> Result<(Vec<Look>, Option<UtcTime>), LinkError> {
    let mut nodes = watched.nodes.clone();
    nodes.push(Node {
        namespace: Namespace::Index(0),
        identifier: CURRENT_TIME.to_owned(),
    });
    let mut looks = client.read(&nodes).await?;
    let clock = looks.pop().and_then(|look| match look.value {
        Ok(Value::Text(text)) => text.parse::<jiff::Timestamp>().ok(),
        _ => None,
    });
    let clock = clock.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    Ok((looks, clock.map(UtcTime)))
}

fn unavailable(error: LinkError) -> Failure {
    Failure::new(Exit::Unavailable, error)
}

fn told(watched: &Watched, looks: &[Look], clock: Option<UtcTime>) -> String {
    let now = Clock::system().now().utc;
    let skew = clock.map(|clock| clock.0.saturating_sub(now.0) as f64 / 1e9);
    if !watched.json {
        return lines(watched, looks, now, skew);
    }
    let nodes: Vec<Json> = watched
        .nodes
        .iter()
        .zip(looks)
        .map(|(node, look)| report(node, look))
        .collect();
    let all =
        json!({ "url": watched.endpoint, "time": time(now), "clock_skew_s": skew, "nodes": nodes });
    if watched.every.is_some() {
        format!("{all}\n")
    } else {
        format!("{all:#}\n")
    }
}

fn report(node: &Node, look: &Look) -> Json {
    json!({
        "node": session::written(node),
        "value": look.value.as_ref().ok().map(number),
        "type": look.kind,
        "elements": look.elements,
        "structure": look.structure,
        "status": look.status,
        "source_time": look.source.map(time),
        "server_time": look.server.map(time),
    })
}

fn lines(watched: &Watched, looks: &[Look], now: UtcTime, skew: Option<f64>) -> String {
    let mut text = format!("{} at {} UTC\n", watched.endpoint, clock(now));
    if let Some(skew) = skew {
        text += &format!("the server's clock is {skew:+.1} s from ours\n");
    }
    for (node, look) in watched.nodes.iter().zip(looks) {
        text += &format!("\n{}\n", session::written(node));
        let value = match (&look.value, look.structure) {
            (_, true) => "a structure: its fields are read with `field:`".to_owned(),
            (Ok(value), false) => table::number(value),
            (Err(_), false) if look.status.starts_with("BadNodeId") => {
                "there is no such node: `millgate browse` shows those there are".into()
            }
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
    }
    text
}

/// The type as the settings write it.
fn word(kind: crate::settings::shape::TagType) -> Option<String> {
    serde_json::to_value(kind).ok()?.as_str().map(str::to_owned)
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
