//! `millgate browse modbus-...`: which addresses can be read, and what is in them; which units answer.
//!
//! One request at a time with a pause behind it. What was found is read once more, so that what moves is seen. Ctrl-C ends
//! a scan with what it has found by then.

use super::scan::{Ask, Found, GivenUp, Scan, Told};
use super::yaml::{self, Seen};
use crate::acquire::modbus::answer::Answer;
use crate::commands::modbus::{Bus, Said};
use crate::commands::range::{self, Range};
use crate::commands::terminal::{self, Progress};
use crate::commands::{Exit, Failure};
use crate::model::LinkError;
use crate::settings::{ModbusWire, Table};
use anyhow::anyhow;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Addresses in one request: some devices take fewer than Modbus allows.
const STEP: u16 = 100;
/// What is scanned where no range is named.
const USUAL: [(Table, Range); 4] = [
    (
        Table::HoldingRegisters,
        Range {
            first: 0,
            last: 9_999,
        },
    ),
    (
        Table::InputRegisters,
        Range {
            first: 0,
            last: 9_999,
        },
    ),
    (
        Table::Coils,
        Range {
            first: 0,
            last: 1_999,
        },
    ),
    (
        Table::DiscreteInputs,
        Range {
            first: 0,
            last: 1_999,
        },
    ),
];
/// Failed connections in a row that end a scan.
const MOST_ATTEMPTS: u32 = 5;

/// What is to be scanned, and how it is told.
pub(super) struct Wish {
    /// The address as it was typed.
    pub(super) url: String,
    pub(super) wire: ModbusWire,
    pub(super) unit: u8,
    /// Empty: the usual ones.
    pub(super) ranges: Vec<(Table, Range)>,
    pub(super) thorough: bool,
    pub(super) all: bool,
    pub(super) json: bool,
}

/// A wire that is walked along, gently.
pub(super) struct Walk {
    bus: Bus,
    pause: Duration,
    requests: u32,
    progress: Progress,
}

/// What the scan of one range gave.
struct Scanned {
    seen: Seen,
    range: Range,
    given_up: Option<GivenUp>,
}

/// Scans and prints what was found.
///
/// # Errors
/// 69 when the device does not answer at all.
pub(super) async fn browse(mut walk: Walk, wish: &Wish) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(deaf)?;
    let ranges = match wish.ranges.as_slice() {
        [] => USUAL.to_vec(),
        ranges => ranges.to_vec(),
    };
    let mut scanned: Vec<Scanned> = Vec::new();
    let mut interrupted = false;
    for (table, range) in ranges {
        let (done, ended) = walk.scan(wish, table, range, &mut interrupt).await?;
        interrupted = ended;
        scanned.push(done);
        if interrupted {
            break;
        }
    }
    walk.progress.clear();
    terminal::print_error(&remarks(wish, &scanned, walk.requests, interrupted))?;
    let silent = scanned.iter().all(|done| {
        done.seen.found.is_empty() && matches!(done.given_up, Some(GivenUp::Silent(_)))
    });
    if silent && !interrupted {
        let silent = anyhow!(
            "{} does not answer; check the unit number and --timeout",
            wish.url
        );
        return Err(Failure::new(Exit::Unavailable, silent));
    }
    tell(wish, &scanned)
}

/// Tells which units answer, be it with an exception.
///
/// # Errors
/// 69 when none does.
pub(super) async fn units(mut walk: Walk, units: Range, json: bool) -> Result<(), Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(deaf)?;
    let last = u8::try_from(units.last).map_err(|_| {
        Failure::new(
            Exit::Usage,
            anyhow!("there is no unit {}: the last one is 255", units.last),
        )
    })?;
    let first = u8::try_from(units.first).unwrap_or(last);
    let mut found = Vec::new();
    for unit in first..=last {
        walk.progress.show(&format!(
            "unit {unit} of {first}..{last}; {} answer so far",
            found.len()
        ));
        let ask = walk.ask(unit, Table::HoldingRegisters, Ask { first: 0, count: 1 });
        let said = tokio::select! {
            said = ask => said?,
            _ = interrupt.recv() => break,
        };
        match said {
            Said::Answer(_) => found.push((unit, "answers")),
            // A gateway says so of units that are not there.
            Said::Exception(0x0A | 0x0B) | Said::Silent(_) => {}
            Said::Exception(_) => found.push((unit, "answers, without holding register 0")),
        }
    }
    walk.progress.clear();
    if json {
        let numbers: Vec<u8> = found.iter().map(|(unit, _)| *unit).collect();
        terminal::print(&format!("{:#}\n", json!({ "units": numbers })))?;
    } else {
        let lines: String = found
            .iter()
            .map(|(unit, how)| format!("unit {unit} {how}\n"))
            .collect();
        terminal::print(&lines)?;
    }
    if found.is_empty() {
        let none = anyhow!(
            "no unit of {first}..{last} answers; check the wiring, the baud rate and --timeout"
        );
        return Err(Failure::new(Exit::Unavailable, none));
    }
    Ok(())
}

impl Walk {
    /// Nothing asked yet.
    pub(super) fn new(bus: Bus, pause: Duration) -> Walk {
        Walk {
            bus,
            pause,
            requests: 0,
            progress: Progress::new(),
        }
    }

    /// Scans one range; true when it was interrupted.
    async fn scan(
        &mut self,
        wish: &Wish,
        table: Table,
        range: Range,
        interrupt: &mut Signal,
    ) -> Result<(Scanned, bool), Failure> {
        let mut scan = Scan::new(range, STEP, wish.thorough);
        let mut interrupted = false;
        while let Some(ask) = scan.next() {
            let (done, places) = scan.progress();
            let found: u32 = scan.found().iter().map(|found| found.range().len()).sum();
            self.progress.show_bar(
                done,
                places,
                &format!("{} {range}: {found} found", range::words(table)),
            );
            let said = tokio::select! {
                said = self.ask(wish.unit, table, ask) => said?,
                _ = interrupt.recv() => {
                    interrupted = true;
                    break;
                }
            };
            scan.told(match said {
                Said::Answer(answer) => Told::Values(places_of(answer)),
                Said::Exception(1) => Told::NoSuchTable,
                Said::Exception(_) => Told::Refused,
                Said::Silent(_) => Told::Silent,
            });
        }
        let found = scan.found().to_vec();
        let mut changed = BTreeSet::new();
        if !interrupted {
            for block in &found {
                changed.extend(self.moved(wish.unit, table, block).await?);
            }
        }
        let seen = Seen {
            table,
            found,
            changed,
        };
        Ok((
            Scanned {
                seen,
                range,
                given_up: scan.given_up(),
            },
            interrupted,
        ))
    }

    /// Reads a block once more: the addresses that have another value now.
    async fn moved(&mut self, unit: u8, table: Table, block: &Found) -> Result<Vec<u16>, Failure> {
        let mut moved = Vec::new();
        let mut first = block.first;
        for before in block.values.chunks(usize::from(STEP)) {
            let count = u16::try_from(before.len()).unwrap_or(STEP);
            if let Said::Answer(answer) = self.ask(unit, table, Ask { first, count }).await? {
                let now = places_of(answer);
                let others = (first..).zip(before.iter().zip(now));
                moved.extend(
                    others
                        .filter(|(_, (before, now))| *before != now)
                        .map(|(at, _)| at),
                );
            }
            first = first.saturating_add(count);
        }
        Ok(moved)
    }

    /// Asks, and pauses. A wire that cannot be opened is tried again a few times: some devices need a moment after a
    /// connection was closed.
    async fn ask(&mut self, unit: u8, table: Table, ask: Ask) -> Result<Said, Failure> {
        let mut attempt = 1;
        loop {
            self.requests += 1;
            let said = self.bus.read(unit, table, ask.first, ask.count).await;
            tokio::time::sleep(self.pause).await;
            match said {
                Ok(said) => return Ok(said),
                Err(error) if attempt == MOST_ATTEMPTS || self.requests == 1 => {
                    return Err(unavailable(error));
                }
                Err(_) => tokio::time::sleep(self.pause * 10 * attempt).await,
            }
            attempt += 1;
        }
    }
}

/// Bits as numbers, so that both kinds of table are scanned alike.
fn places_of(answer: Answer) -> Vec<u16> {
    match answer {
        Answer::Words(words) => words,
        Answer::Bits(bits) => bits.into_iter().map(u16::from).collect(),
    }
}

fn tell(wish: &Wish, scanned: &[Scanned]) -> Result<(), Failure> {
    if wish.json {
        return terminal::print(&format!("{:#}\n", report(wish, scanned)));
    }
    let seen: Vec<Seen> = scanned.iter().map(|done| done.seen.clone()).collect();
    let (devices, left_out) = yaml::devices(&wish.wire, wish.unit, &seen, wish.all);
    if !devices.contains(" # ") {
        return terminal::print_error(
            "nothing was found that is not 0; --all prints a tag for everything\n",
        );
    }
    terminal::print(&devices)?;
    if left_out > 0 {
        terminal::print_error(&format!(
            "{left_out} more tags are left out: name smaller ranges\n"
        ))?;
    }
    Ok(())
}

/// What can be read, in words.
fn remarks(wish: &Wish, scanned: &[Scanned], requests: u32, interrupted: bool) -> String {
    let mut text = format!("{} unit {}: {requests} requests\n", wish.url, wish.unit);
    for Scanned {
        seen,
        range,
        given_up,
    } in scanned
    {
        let blocks: Vec<String> = seen
            .found
            .iter()
            .map(|found| found.range().to_string())
            .collect();
        let blocks = match (blocks.as_slice(), given_up) {
            (_, Some(GivenUp::NoSuchTable)) => "the device has no such table".to_owned(),
            ([], _) => "nothing".to_owned(),
            (blocks, _) => blocks.join(", "),
        };
        let silent = match given_up {
            Some(GivenUp::Silent(at)) => format!("; silent from {at} on, not asked further"),
            _ => String::new(),
        };
        text += &format!("  {} {range}: {blocks}{silent}\n", range::words(seen.table));
    }
    if interrupted {
        text += "  ended before all was asked\n";
    }
    text
}

fn report(wish: &Wish, scanned: &[Scanned]) -> Json {
    let block = |done: &Scanned, found: &Found| {
        let range = found.range();
        let changed = done.seen.changed.range(range.first..=range.last);
        json!({
            "first": range.first,
            "last": range.last,
            "values": found.values,
            "changed": changed.collect::<Vec<_>>(),
        })
    };
    let table = |done: &Scanned| {
        let blocks: Vec<Json> = done
            .seen
            .found
            .iter()
            .map(|found| block(done, found))
            .collect();
        json!({
            "table": range::key(done.seen.table),
            "first": done.range.first,
            "last": done.range.last,
            "blocks": blocks,
            "given_up": match done.given_up {
                None => Json::Null,
                Some(GivenUp::NoSuchTable) => "no_such_table".into(),
                Some(GivenUp::Silent(_)) => "silent".into(),
            },
        })
    };
    let tables: Vec<Json> = scanned.iter().map(table).collect();
    json!({ "url": wish.url, "unit": wish.unit, "tables": tables })
}

fn unavailable(error: LinkError) -> Failure {
    Failure::new(Exit::Unavailable, error)
}

fn deaf(error: std::io::Error) -> Failure {
    Failure::new(Exit::Software, error)
}
