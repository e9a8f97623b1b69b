//! `millgate buffer status`: one screen about a store.

use super::super::{Exit, Failure, terminal};
use super::site::{Gateway, Site, Which, deaf, failure};
use super::{drain, words};
use crate::buffer::inspect::{
    EventLabel, Kind, Name, Scene, ShutHead, ShutStore, StoreStatus, UplinkStatus,
};
use crate::gateway::control::Ask;
use crate::model::Position;
use crate::observe::control::Greeting;
use serde_json::json;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// How it goes, on one screen: what waits for whom, how much disk it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    which: Which,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// What is shown.
struct Screen {
    status: StoreStatus,
    gateway: Option<Greeting>,
    /// The newest generations that do not open, newest first, and why.
    broken: Vec<(Name, String)>,
    /// Why the next start begins a new epoch, if it does.
    new_epoch: Option<&'static str>,
}

impl Status {
    pub(super) fn run(self) -> Result<(), Failure> {
        let site = self.which.site()?;
        let mut screen = Screen::of(&site)?;
        if let Some(plant) = &site.plant {
            screen.status.max_bytes = Some(plant.buffer.max_size.0);
        }
        if self.json {
            let whole = json!({
                "gateway": screen.gateway,
                "status": screen.status,
                "new_epoch": screen.new_epoch,
                "broken": screen.broken.iter().map(|(name, why)| json!({
                    "generation": name.to_string(), "reason": why,
                })).collect::<Vec<_>>(),
            });
            return terminal::print(&format!("{whole:#}\n"));
        }
        terminal::print(&screen.text(now_ns()))
    }
}

/// How a store goes, whoever has it open.
///
/// # Errors
/// When nobody can say.
pub(in crate::commands) fn status_of(site: &Site) -> Result<StoreStatus, Failure> {
    Ok(Screen::of(site)?.status)
}

impl Screen {
    fn of(site: &Site) -> Result<Screen, Failure> {
        if let Some(mut conversation) = site.running()? {
            let status = site.ask(&mut conversation, &Ask::BufferStatus {})?;
            return Ok(Screen {
                status,
                gateway: Some(conversation.greeting.clone()),
                broken: Vec::new(),
                new_epoch: None,
            });
        }
        let store = site.store()?;
        match site.gateway(&store)? {
            // It started between the two.
            Gateway::Runs(_) => return Screen::of(site),
            Gateway::Deaf => return Err(deaf(&site.path)),
            Gateway::Away(held) => drop(held),
        }
        shut(site, &store)
    }

    fn text(&self, now_ns: i64) -> String {
        let status = &self.status;
        let mut text = String::new();
        let mut row = |name: &str, words: String| {
            let words = words.replace('\n', &format!("\n{:12}", ""));
            // A String takes everything.
            writeln!(text, "{name:<12}{words}").ok();
        };
        row("Store", status.store.display().to_string());
        row(
            "Gateway",
            match &self.gateway {
                Some(it) => format!(
                    "{} runs on it (process {}, Millgate {})",
                    it.gateway, it.pid, it.millgate
                ),
                None => "none runs on it".into(),
            },
        );
        row(
            "Last event",
            match &status.last {
                None => "none".into(),
                Some(last) => format!(
                    "{} {}, {}\nnumber {}, of run {}",
                    last.kind,
                    words::age(last.time_ns, now_ns),
                    words::utc(last.time_ns),
                    words::place(last.sequence),
                    last.run
                ),
            },
        );
        row(
            "Next number",
            match self.new_epoch {
                None => format!("{} (epoch.event)", words::place(status.next)),
                Some(why) => format!(
                    "{} (epoch.event): the next start begins a new epoch: {why}\n`millgate buffer verify` says what is lost",
                    words::place(status.next)
                ),
            },
        );
        row("Disk", disk(status));
        row("Parts", parts(status));
        if let Some(why) = &status.refusing {
            row("Refusing", format!("nothing is stored at present: {why}"));
        }
        for (name, why) in &self.broken {
            row(
                "Broken",
                format!("{name}: {why}\n`millgate buffer verify` says what that means"),
            );
        }
        if status.untold > 0 {
            row(
                "To be told",
                format!("that {} were dropped", words::events(status.untold)),
            );
        }
        text.push('\n');
        text.push_str(&uplinks(&status.uplinks, now_ns));
        text
    }
}

fn disk(status: &StoreStatus) -> String {
    let used = words::bytes(status.used_bytes);
    let free = words::bytes(status.free_bytes);
    match status.max_bytes {
        Some(max) => {
            let tenths = u128::from(status.used_bytes) * 1_000 / u128::from(max.max(1));
            format!(
                "{used} of at most {} ({}.{} %); {free} free beside it",
                words::bytes(max),
                tenths / 10,
                tenths % 10
            )
        }
        None => format!("{used}; {free} free beside it"),
    }
}

fn parts(status: &StoreStatus) -> String {
    let damaged: Vec<_> = status
        .listed
        .iter()
        .filter(|part| part.kind == Kind::Damaged)
        .collect();
    let s = if status.generations == 1 { "" } else { "s" };
    let mut text = format!("{} generation{s}", words::number(status.generations));
    if let Some(oldest) = status.listed.iter().find(|part| part.kind == Kind::Older) {
        text += &format!(", the oldest from number {}", words::place(oldest.first));
    }
    for part in damaged {
        text += &format!(
            "\n{} was damaged and set aside ({})",
            part.name,
            words::bytes(part.bytes)
        );
    }
    text
}

fn uplinks(all: &[UplinkStatus], now_ns: i64) -> String {
    if all.is_empty() {
        return "No uplinks: events are kept and go nowhere.\n".into();
    }
    let width = all
        .iter()
        .map(|it| it.name.chars().count())
        .max()
        .unwrap_or(0)
        .max(6);
    let mut text = format!(
        "{:width$}  {:>11} {:>8} {:>13} {:>13} {:>9}\n",
        "Uplink", "waiting", "parked", "delivered", "filtered", "dropped"
    );
    for uplink in all {
        let dropped: u64 = uplink.dropped.values().sum();
        let counts = [
            uplink.waiting,
            uplink.parked,
            uplink.delivered,
            uplink.filtered,
            dropped,
        ];
        let [waiting, parked, delivered, filtered, dropped] = counts.map(words::number);
        writeln!(
            text,
            "{:width$}  {waiting:>11} {parked:>8} {delivered:>13} {filtered:>13} {dropped:>9}",
            uplink.name
        )
        .ok();
        for line in notes(uplink, now_ns) {
            writeln!(text, "{:width$}  {line}", "").ok();
        }
    }
    text
}

/// What a row of numbers does not say.
fn notes(uplink: &UplinkStatus, now_ns: i64) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(why) = &uplink.paused {
        notes.push(format!("paused: {why}"));
    }
    notes.extend(uplink.drain.map(|drain| drain::pace(uplink.waiting, drain)));
    if let Some(oldest) = &uplink.oldest {
        notes.push(format!(
            "the oldest that waits: {}, {} ({})",
            oldest.kind,
            words::age(oldest.time_ns, now_ns),
            words::place(oldest.sequence)
        ));
    }
    if !uplink.dropped.is_empty() {
        let reasons = uplink.dropped.iter();
        let reasons: Vec<String> = reasons
            .map(|(reason, count)| format!("{} {}", words::number(*count), meaning(reason)))
            .collect();
        notes.push(format!("dropped: {}", reasons.join(", ")));
    }
    if uplink.parked > 0 {
        notes.push("parked: `millgate dead-letters list` says which and why".into());
    }
    if uplink.discarded > 0 {
        notes.push(format!(
            "{} discarded by somebody",
            words::events(uplink.discarded)
        ));
    }
    notes
}

/// The words of a reason to drop.
fn meaning(reason: &str) -> &str {
    match reason {
        "evicted" => "of the passing kind, because the buffer was full",
        "full" => "because the buffer was full",
        "aged" => "older than max_age",
        "damaged" => "by damage of the disk",
        "uplink_removed" => "when the uplink left the settings",
        other => other,
    }
}

/// A store that nobody has open: its newest generation that opens says how it goes.
fn shut(site: &Site, store: &ShutStore) -> Result<Screen, Failure> {
    let beside = store.beside().map_err(failure)?;
    let (names, half_made) = store.names().map_err(failure)?;
    let mut broken = Vec::new();
    for name in names.iter().rev().filter(|name| !name.damaged) {
        let Some(opened) = site.open(store, *name)? else {
            continue;
        };
        let found = opened.and_then(|reading| Ok((store.head(*name, &reading.opened)?, reading)));
        let (head, reading) = match found {
            Ok(found) => found,
            Err(trouble) => {
                broken.push((*name, trouble.to_string()));
                continue;
            }
        };
        let mut status = store.status(&head, &names).map_err(failure)?;
        let last = Position {
            seq: head.next().seq.saturating_sub(2),
            ..head.next()
        };
        status.last = reading.opened.first_after(last);
        drop(reading);
        oldest(site, store, &head, &names, &mut status)?;
        if status.last.is_none() {
            status.last = newest_below(site, store, &names, head.next())?;
        }
        let why: Vec<(Position, String)> = broken
            .iter()
            .map(|(name, why): &(Name, String)| (name.first, why.clone()))
            .collect();
        let scene = Scene {
            names: &names,
            half_made: &half_made,
            head: Some(&head),
            broken: &why,
            beside: &beside,
            runs: false,
        };
        let (next, new_epoch) = store.next(&scene).map_err(failure)?;
        status.next = next;
        return Ok(Screen {
            status,
            gateway: None,
            broken,
            new_epoch: new_epoch.map(|why| why.words()),
        });
    }
    let Some((name, why)) = broken.first() else {
        if store.beside().map_err(failure)?.knows_events() {
            let gone = anyhow::anyhow!(
                "no part of {} is there any more, though events were stored in it: `millgate buffer verify` says what is lost",
                store.root().display()
            );
            return Err(Failure::new(Exit::Data, gone));
        }
        let empty = anyhow::anyhow!(
            "{} is empty: no gateway has stored anything in it",
            store.root().display()
        );
        return Err(Failure::new(Exit::NoInput, empty));
    };
    Err(Failure::new(
        Exit::Data,
        anyhow::anyhow!(
            "no part of {} can be opened; of the newest, {name}: {why}. `millgate buffer verify` looks at each of them",
            store.root().display()
        ),
    ))
}

/// The oldest event that waits for each uplink: each in the first generation that may have it, opened once for all.
fn oldest(
    site: &Site,
    store: &ShutStore,
    head: &ShutHead,
    names: &[Name],
    status: &mut StoreStatus,
) -> Result<(), Failure> {
    for uplink in &mut status.uplinks {
        if uplink.waiting == 0 {
            continue;
        }
        let after = uplink.cursor;
        let holds = |at: Position| head.waits_for(&uplink.name, at) == Some(true);
        uplink.oldest = first_after(site, store, names, after, &holds)?;
    }
    Ok(())
}

/// Generations that are opened in search of one event: where many are damaged or settled, it is not worth the time.
const MAX_OPENED: usize = 4;

fn first_after(
    site: &Site,
    store: &ShutStore,
    names: &[Name],
    after: Position,
    holds: &dyn Fn(Position) -> bool,
) -> Result<Option<EventLabel>, Failure> {
    let whole: Vec<&Name> = names.iter().filter(|name| !name.damaged).collect();
    let from = whole
        .partition_point(|name| name.first <= after)
        .saturating_sub(1);
    for name in whole.iter().skip(from).take(MAX_OPENED) {
        let Some(Ok(reading)) = site.open(store, **name)? else {
            continue;
        };
        let mut at = after;
        while let Some(found) = reading.opened.first_after(at) {
            if holds(found.sequence) {
                return Ok(Some(found));
            }
            at = found.sequence;
        }
    }
    Ok(None)
}

/// The last event of the generation before the head, where that has none yet.
fn newest_below(
    site: &Site,
    store: &ShutStore,
    names: &[Name],
    next: Position,
) -> Result<Option<EventLabel>, Failure> {
    let below = names
        .iter()
        .rev()
        .find(|name| !name.damaged && name.first < next);
    let Some(name) = below else { return Ok(None) };
    let Some(Ok(reading)) = site.open(store, *name)? else {
        return Ok(None);
    };
    let end = reading.opened.end().unwrap_or(name.first);
    Ok(reading.opened.first_after(super::survey::before(end)))
}

/// The wall clock: ages are for people.
pub(in crate::commands) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}
