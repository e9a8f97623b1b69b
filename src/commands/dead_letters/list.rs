//! `millgate dead-letters list`: what is parked, by class and code, so that one closed order with 10,000 events is one line.

use super::super::buffer::words;
use super::super::{Exit, Failure, terminal};
use super::entry::{self, utc};
use super::pick::Pick;
use super::place::{Letters, Unreadable, Whose};
use crate::buffer::{Parked, ParkedState};
use crate::model::{ParkClass, UtcTime};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Lines of groups for each uplink; destinations with a code for every event fill no screens.
const MAX_SHOWN: usize = 30;
/// Width of a line.
const COLUMNS: usize = 80;

/// How many there are, by class and code.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pick: Pick,
    /// Every event, on a line of its own.
    #[arg(long)]
    each: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// Events that were not taken for the same reason.
struct Group {
    count: u64,
    first: UtcTime,
    last: UtcTime,
    /// The detail of the last answer.
    detail: String,
}

/// What an uplink has.
struct Found {
    uplink: String,
    groups: BTreeMap<(ParkClass, Option<String>, ParkedState), Group>,
    /// For `--each`, as lines.
    rows: String,
    /// For `--each --json`.
    entries: Vec<Value>,
    unreadable: Unreadable,
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let letters = self.whose.letters()?;
        let mut ready = self.pick.ready(&letters)?;
        let mut all = Vec::new();
        for uplink in &letters.uplinks {
            let mut found = Found::new(uplink);
            let unreadable = letters.read(uplink, |parked| {
                if ready.wants(&parked) {
                    self.take(&mut found, &parked);
                }
                Ok(())
            })?;
            found.unreadable = unreadable;
            all.push(found);
        }
        ready.all_seen()?;
        if self.json {
            let list: Vec<Value> = all.iter().map(|found| found.json(self.each)).collect();
            terminal::print(&format!("{:#}\n", json!({ "uplinks": list })))?;
        } else {
            terminal::print(&self.told(&letters, &all))?;
        }
        if all.iter().all(|it| it.unreadable == Unreadable::default()) {
            return Ok(());
        }
        Err(Failure::told(Exit::Data))
    }

    fn take(&self, found: &mut Found, parked: &Parked) {
        found.add(parked);
        match (self.each, self.json) {
            (true, true) => found.entries.push(entry::entry(&found.uplink, parked)),
            (true, false) => found.rows.push_str(&row(parked)),
            (false, _) => {}
        }
    }

    fn told(&self, letters: &Letters, all: &[Found]) -> String {
        let mut text = String::new();
        let mut any = false;
        for found in all {
            text += &found.unreadable.told(&found.uplink);
            if found.groups.is_empty() {
                continue;
            }
            any = true;
            let count = found.groups.values().map(|group| group.count).sum();
            text += &format!("{}: {} parked\n\n", found.uplink, words::events(count));
            text += &if self.each {
                found.each()
            } else {
                found.table()
            };
            text.push('\n');
        }
        if any {
            return text + NEXT;
        }
        let of = letters.uplinks.join(", ");
        match (self.pick.is_said(), letters.uplinks.is_empty()) {
            (_, true) => text + "No uplinks, so no dead letters.\n",
            (true, _) => text + &format!("None of the parked events of {of} is one of those.\n"),
            (false, _) => {
                text + &format!("No dead letters: {of} took everything, or has yet to.\n")
            }
        }
    }
}

/// What to do next.
const NEXT: &str = "\
`list --each` has the numbers, `show NUMBER` all about one, `export` all of it.
Once the MES is ready for them: `retry --code CODE`.
If it never will be: `discard --code CODE --reason TEXT`.
";

impl Found {
    fn new(uplink: &str) -> Found {
        Found {
            uplink: uplink.to_owned(),
            groups: BTreeMap::new(),
            rows: String::new(),
            entries: Vec::new(),
            unreadable: Unreadable::default(),
        }
    }

    fn add(&mut self, parked: &Parked) {
        let code = parked.last_code().map(str::to_owned);
        let last = parked.last_attempt.utc;
        let answer = parked.answers.last();
        let group = self.groups.entry((parked.class, code, parked.state));
        let group = group.or_insert_with(|| Group {
            count: 0,
            first: parked.first_attempt.utc,
            last,
            detail: String::new(),
        });
        group.count += 1;
        group.first = group.first.min(parked.first_attempt.utc);
        if last >= group.last {
            group.last = last;
            group.detail = answer.map(|it| it.detail.clone()).unwrap_or_default();
        }
    }

    /// The largest groups first.
    fn table(&self) -> String {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
        let mut text = format!(
            "{:>8}  {:<8}  {:<28}  {:<9}  Tried last (UTC)\n",
            "Events", "Class", "Code", "State"
        );
        for ((class, code, state), group) in groups.iter().take(MAX_SHOWN) {
            let line = format!(
                "{:>8}  {:<8}  {:<28}  {:<9}  {:<19}",
                words::number(group.count),
                class.word(),
                cut(code.as_deref().unwrap_or("-"), 28),
                state.word(),
                to_second(group.last),
            );
            let detail = cut(&group.detail, COLUMNS - 10);
            writeln!(text, "{}\n{:10}{detail}", line.trim_end(), "").ok();
        }
        if let Some(more) = groups.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
            writeln!(text, "{:10}and {more} more kinds: `--json` has all", "").ok();
        }
        text
    }

    fn each(&self) -> String {
        let head = format!(
            "{:<12} {:<23} {:<12} {:<15} {:>4} State\n",
            "Event", "Type", "Machine", "Code", "Sent"
        );
        head + &self.rows
    }

    fn json(&self, each: bool) -> Value {
        let group =
            |((class, code, state), group): (&(ParkClass, Option<String>, ParkedState), &Group)| {
                json!({
                    "class": class.word(),
                    "code": code,
                    "state": state.word(),
                    "events": group.count,
                    "first_attempt": utc(group.first),
                    "last_attempt": utc(group.last),
                    "detail": group.detail,
                })
            };
        let mut found = json!({
            "uplink": self.uplink,
            "events": self.groups.values().map(|group| group.count).sum::<u64>(),
            "groups": self.groups.iter().map(group).collect::<Vec<_>>(),
            "damaged": self.unreadable.damaged,
            "of_another_release": self.unreadable.foreign,
        });
        if each && let Some(fields) = found.as_object_mut() {
            fields.insert("entries".into(), Value::Array(self.entries.clone()));
        }
        found
    }
}

fn row(parked: &Parked) -> String {
    let envelope = &parked.record.envelope;
    format!(
        "{:<12} {:<23} {:<12} {:<15} {:>4} {}\n",
        words::place(parked.record.position),
        cut(&envelope.kind, 23),
        cut(envelope.equipment.as_deref().unwrap_or("gateway"), 12),
        cut(parked.last_code().unwrap_or("-"), 15),
        parked.attempts.min(9_999),
        parked.state.word(),
    )
}

/// At most so many characters, the last one a sign that there are more.
fn cut(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let kept = text.chars().take(chars.saturating_sub(1));
    kept.chain(['…']).collect()
}

fn to_second(time: UtcTime) -> String {
    words::utc(time.0).trim_end_matches(" UTC").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::{Answered, Moment, Record};
    use crate::model::{Class, Envelope, Position};

    fn parked(seq: u64, code: Option<&str>) -> Parked {
        let moment = Moment {
            utc: UtcTime(i64::try_from(seq).unwrap() * 1_000_000_000),
            powered_ns: 0,
        };
        Parked {
            record: Record {
                position: Position { epoch: 1, seq },
                envelope: Envelope {
                    id: uuid::Uuid::nil(),
                    run: uuid::Uuid::nil(),
                    kind: "equipment.performance.interval".into(),
                    partition_key: "PRESS-04".into(),
                    equipment: Some("a machine with a long name".into()),
                    path: Vec::new(),
                    time_ns: 0,
                },
                class: Class::Lasting,
                payload: bytes::Bytes::from_static(b"{\"a\":1.0}"),
            },
            class: ParkClass::Business,
            state: ParkedState::Rejected,
            attempts: 70_000,
            first_attempt: moment,
            last_attempt: moment,
            answers: vec![Answered {
                code: code.map(str::to_owned),
                status: Some(422),
                detail: "the order WO-100482, which this was made for, was closed at 09:10 by somebody else"
                    .into(),
                said: None,
            }],
            audit: Vec::new(),
        }
    }

    #[test]
    fn tables_fit_80_columns_and_one_reason_is_one_line() {
        let mut found = Found::new("mes");
        for seq in 1..=12_345 {
            found.add(&parked(
                seq,
                Some("order-closed-and-a-very-long-code-for-it"),
            ));
        }
        for seq in 1..=100 {
            found.add(&parked(seq, Some(&format!("code-{seq}"))));
        }
        found.add(&parked(u64::from(u32::MAX), None));
        found.rows = row(&parked(u64::from(u32::MAX), Some("a code of some length")));
        let text = found.table() + &found.each() + NEXT;
        assert!(
            text.contains("  12,345  business  order-closed-and-a-very-lon…"),
            "{text}"
        );
        assert!(text.contains("and 72 more kinds"), "{text}");
        for line in text.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        let json = found.json(false);
        assert_eq!(json["groups"].as_array().unwrap().len(), 102);
    }

    #[test]
    fn an_exported_event_has_the_bytes_that_its_fingerprint_is_of() {
        let line = entry::line("mes", &parked(7, None));
        let text = String::from_utf8(line).unwrap();
        assert!(text.ends_with(",\"event\":{\"a\":1.0}}\n"), "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["entry"], "mes/0000000001.00000000000000000007");
        assert_eq!(value["verdict"]["status"], 422);
        assert_eq!(value["event_sha256"], crate::buffer::sha256(b"{\"a\":1.0}"));
        let mut bent = parked(7, None);
        bent.record.payload = bytes::Bytes::from_static(b"\xffno\njson");
        let value: Value = serde_json::from_slice(&entry::line("mes", &bent)).unwrap();
        assert_eq!(value["event_text"], "\u{fffd}no\njson");
    }
}
