//! The end of discarded events: first a line in `parked/UPLINK/discarded.jsonl`, then the account, then the file goes.
//!
//! The line stays when the file is gone: who gave up which event, when and why, is what an auditor asks first, and the MES
//! is the last place that would know. A crash in between is mended at the next start, which writes no line twice.

use super::super::disk::is_damage;
use super::super::error::{StoreError, io_error};
use super::super::listing::parse;
use super::super::progress::Left;
use super::super::store::Store;
use super::MAX_LEAVING;
use super::entry::{Parked, ParkedState};
use super::folder::Folder;
use crate::model::{Position, UplinkId, UtcTime};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io;

/// The list.
const LIST: &str = "discarded.jsonl";
/// The list before it.
const BEFORE: &str = "discarded.1.jsonl";
/// Bytes after which a list is full and the one before goes: as many events as an uplink may have parked, with 500 to 800
/// bytes each, and as many before them.
const MAX_LIST: u64 = 8 << 20;
/// Lines in the log about discards that an earlier run did not bring to their end.
const MAX_TOLD: usize = 10;

impl Folder<'_> {
    /// Adds events to the list, durably.
    fn list_discarded(&self, discarded: &[&Parked]) -> io::Result<()> {
        let mut text = String::new();
        for parked in discarded {
            text.push_str(&line(parked));
            text.push('\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        let folder = self.path();
        let path = folder.join(LIST);
        let mut file = self.disk.open(&path)?;
        let mut length = file.length()?;
        if length.saturating_add(text.len() as u64) > MAX_LIST && length > 0 {
            drop(file);
            self.disk.rename(&path, &folder.join(BEFORE))?;
            file = self.disk.open(&path)?;
            length = 0;
        }
        let mut last = [b'\n'];
        if length > 0 {
            file.read_at(&mut last, length - 1)?;
        }
        if last != *b"\n" {
            // A crash cut the last line off.
            text.insert(0, '\n');
        }
        file.write_all_at(text.as_bytes(), length)?;
        file.sync()?;
        self.disk.sync_dir(&folder)
    }

    /// The positions of the events that stand in the list.
    pub(in crate::buffer) fn listed_as_discarded(&self) -> io::Result<BTreeSet<Position>> {
        let mut listed = BTreeSet::new();
        for name in [BEFORE, LIST] {
            let bytes = match self.disk.read(&self.path().join(name), MAX_LIST) {
                // What stands there may be written a second time: better than a start that fails.
                Err(error) if is_damage(&error) => None,
                read => read?,
            };
            for line in bytes.unwrap_or_default().split(|byte| *byte == b'\n') {
                let line: Option<serde_json::Value> = serde_json::from_slice(line).ok();
                let sequence = line
                    .as_ref()
                    .and_then(|line| line.get("sequence")?.as_str());
                listed.extend(sequence.and_then(parse));
            }
        }
        Ok(listed)
    }

    /// When the oldest line of the list was written; what was discarded before does not stand there any more. `None` where
    /// there is no line.
    pub(in crate::buffer) fn listed_since(&self) -> io::Result<Option<UtcTime>> {
        for name in [BEFORE, LIST] {
            let bytes = self.disk.read(&self.path().join(name), MAX_LIST)?;
            let bytes = bytes.unwrap_or_default();
            let first = bytes.split(|byte| *byte == b'\n').find_map(written_at);
            if first.is_some() {
                return Ok(first);
            }
        }
        Ok(None)
    }
}

/// When a line of the list was written.
fn written_at(line: &[u8]) -> Option<UtcTime> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    let at: jiff::Timestamp = line.get("at")?.as_str()?.parse().ok()?;
    i64::try_from(at.as_nanosecond()).ok().map(UtcTime)
}

fn line(parked: &Parked) -> String {
    let envelope = &parked.record.envelope;
    let audit = parked.audit.last();
    let answer = parked.answers.last();
    let line = json!({
        "at": audit.map(|audit| utc(audit.at)),
        "user": audit.map(|audit| &audit.user),
        "reason": audit.map(|audit| &audit.comment),
        "sequence": parked.record.position.to_string(),
        "id": envelope.id,
        "type": envelope.kind,
        "equipment": envelope.equipment,
        "time": utc(UtcTime(envelope.time_ns)),
        "class": parked.class.word(),
        "code": answer.and_then(|answer| answer.code.as_ref()),
        "status": answer.and_then(|answer| answer.status),
        "detail": answer.map(|answer| &answer.detail),
        "attempts": parked.attempts,
        "sha256": sha256(&parked.record.payload),
    });
    line.to_string()
}

/// RFC 3339; nothing for a time that no calendar has.
fn utc(time: UtcTime) -> Option<String> {
    let time = jiff::Timestamp::from_nanosecond(i128::from(time.0)).ok();
    time.map(|time| time.to_string())
}

/// The fingerprint of an event's bytes, in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // A String takes everything.
            write!(text, "{byte:02x}").ok();
            text
        })
}

impl Store {
    /// Takes events whose files say that they are discarded off the account, and the files away. The inner error says that
    /// their lines could not be written: nothing has changed then but the files, and the next start goes on from there.
    pub(super) fn give_up(
        &mut self,
        uplink: UplinkId,
        discarded: &[Parked],
    ) -> Result<Result<(), io::Error>, StoreError> {
        let all: Vec<&Parked> = discarded.iter().collect();
        self.give_up_listed(uplink, discarded, &all)
    }

    fn give_up_listed(
        &mut self,
        uplink: UplinkId,
        discarded: &[Parked],
        unlisted: &[&Parked],
    ) -> Result<Result<(), io::Error>, StoreError> {
        let Some(folder) = self.folder(uplink) else {
            return Ok(Ok(()));
        };
        if let Err(error) = folder.list_discarded(unlisted) {
            return Ok(Err(error));
        }
        for parked in discarded {
            self.take_off(uplink, parked.record.position, Left::Discarded)?;
        }
        match self.commit_progress() {
            // In memory they are off, in their files discarded: durable with the next commit, or by the next start.
            Err(StoreError::Full(_)) => Ok(Ok(())),
            result => result.map(Ok),
        }
    }

    /// Brings discards to their end that a command began without a gateway, or a crash cut off.
    pub(in crate::buffer) fn finish_discards(&mut self) -> Result<(), StoreError> {
        for (uplink, positions) in std::mem::take(&mut self.parked.discarded) {
            match self.finish_discards_of(uplink, &positions) {
                // They are never tried, and the next start tries again.
                Err(error @ StoreError::Full(_)) => {
                    tracing::warn!(%error, "discarded events stay parked until there is room");
                }
                result => result?,
            }
        }
        Ok(())
    }

    fn finish_discards_of(
        &mut self,
        uplink: UplinkId,
        positions: &[Position],
    ) -> Result<(), StoreError> {
        let Some(folder) = self.folder(uplink) else {
            return Ok(());
        };
        let path = folder.path();
        let listed = folder.listed_as_discarded();
        let listed = listed.map_err(|error| io_error(&path, error))?;
        let mut why: BTreeMap<(String, String), u64> = BTreeMap::new();
        for part in positions.chunks(MAX_LEAVING) {
            let mut discarded = Vec::new();
            for position in part {
                discarded.extend(self.parked(uplink, *position)?);
            }
            discarded.retain(|parked| parked.state == ParkedState::Discarded);
            let is_new = |parked: &&Parked| !listed.contains(&parked.record.position);
            let unlisted: Vec<&Parked> = discarded.iter().filter(is_new).collect();
            let done = self.give_up_listed(uplink, &discarded, &unlisted)?;
            done.map_err(|error| io_error(&path, error))?;
            for audit in discarded.iter().filter_map(|parked| parked.audit.last()) {
                let key = (audit.user.clone(), audit.comment.clone());
                *why.entry(key).or_default() += 1;
            }
        }
        let name = self.uplinks.get(uplink.index()).map(|(name, _)| name);
        for ((user, reason), events) in why.iter().take(MAX_TOLD) {
            tracing::warn!(
                uplink = name,
                user,
                events,
                reason,
                "parked events were discarded"
            );
        }
        Ok(())
    }
}
