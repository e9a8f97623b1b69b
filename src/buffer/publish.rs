//! What the store tells of itself to people: backlogs, generations, what goes to the flash. Looked at every few seconds.

use super::error::StoreError;
use super::store::Store;
use crate::health::Backlog;
use crate::model::{BootTime, Position, UplinkId, UtcTime};
use std::time::Duration;

/// Least time between two looks.
const EVERY: Duration = Duration::from_secs(5);

/// What the last look found.
#[derive(Debug, Default)]
pub(super) struct Published {
    at: Option<BootTime>,
    /// By uplink id: the cursor at which it was looked for, and when the event behind it happened.
    oldest: Vec<Option<(Position, UtcTime)>>,
}

impl Store {
    /// Sets the cells of its health, if it is time to.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn publish(&mut self, now: BootTime) -> Result<(), StoreError> {
        if self.published.at.is_some_and(|at| now < at.plus(EVERY)) {
            return Ok(());
        }
        self.published.at = Some(now);
        let mut backlogs = Vec::new();
        for uplink in self.uplink_ids() {
            backlogs.push(self.backlog(uplink)?);
        }
        self.health.backlogs.set(backlogs);
        self.tell_use()?;
        if let Some(bytes) = device_written() {
            self.health.device_written.set(bytes);
        }
        Ok(())
    }

    fn backlog(&mut self, uplink: UplinkId) -> Result<Backlog, StoreError> {
        let account = self.account(uplink);
        let name = self.uplinks.get(uplink.index()).map(|(name, _)| name);
        Ok(Backlog {
            uplink: name.cloned().unwrap_or_default(),
            offered: account.offered,
            stored: account.stored(),
            delivered: account.delivered,
            filtered: account.filtered,
            parked: account.parked,
            discarded: account.discarded,
            dropped: account.dropped,
            oldest: match account.stored() {
                0 => None,
                _ => self.oldest_of(uplink)?,
            },
        })
    }

    /// When the first event that waits happened. It is read once for each place of the cursor.
    fn oldest_of(&mut self, uplink: UplinkId) -> Result<Option<UtcTime>, StoreError> {
        let cursor = self.cursor(uplink);
        let known = self.published.oldest.get(uplink.index()).copied().flatten();
        if let Some((_, time)) = known.filter(|(at, _)| *at == cursor) {
            return Ok(Some(time));
        }
        let first = self.read_for(uplink, cursor, 1, 0)?;
        let time = first.first().map(|record| UtcTime(record.envelope.time_ns));
        let count = self.uplinks.len();
        self.published.oldest.resize(count, None);
        if let Some(known) = self.published.oldest.get_mut(uplink.index()) {
            *known = time.map(|time| (cursor, time));
        }
        Ok(time)
    }
}

/// Bytes that this process caused to be written to a device, as the kernel counts; `None` where it does not say.
fn device_written() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    let line = |name| text.lines().find_map(|line| line.strip_prefix(name));
    line("write_bytes: ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{done, fast_home, options, render, turn};
    use super::*;
    use crate::model::Stamp;

    #[test]
    fn people_see_what_waits_for_whom_and_since_when() {
        let home = fast_home();
        let options = options(home.path(), &["mes", "scada"]);
        let (mut store, restored) = Store::open(&options).unwrap();
        let at = |seconds| Stamp::default().plus(Duration::from_secs(seconds));
        let mut next = restored.next;
        for minute in 1..=30 {
            let now = at(60 * minute);
            store.commit(&[turn(next, 5)], now, &render).unwrap();
            next.seq += 5;
        }
        let seq = |seq| Position { epoch: 1, seq };
        done(&mut store, UplinkId(0), seq(150)).unwrap();
        done(&mut store, UplinkId(1), seq(60)).unwrap();
        store.publish(at(0).boot).unwrap();
        let health = &options.health;
        let [mes, scada] = health.backlogs.get().try_into().unwrap();
        assert_eq!(
            (mes.uplink.as_str(), mes.stored, mes.oldest),
            ("mes", 0, None)
        );
        assert_eq!(
            (scada.offered, scada.delivered, scada.stored),
            (150, 60, 90)
        );
        // The 61st event was handed to the disk in the thirteenth minute.
        assert_eq!(scada.oldest, Some(at(13 * 60).utc));
        assert!(health.generations.get() > 2);
        assert_eq!(health.damaged.get(), 0);
        assert!(health.written.get() > 10_000);

        done(&mut store, UplinkId(1), seq(150)).unwrap();
        store.publish(at(4).boot).unwrap();
        assert_eq!(health.backlogs.get()[1].stored, 90, "not before it is time");
        store.publish(at(5).boot).unwrap();
        assert_eq!(health.backlogs.get()[1].stored, 0);
    }
}
