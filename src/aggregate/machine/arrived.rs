//! Scans from other machines' readers, which wait until this machine's time has come to them. Pure.
//!
//! A machine whose devices stamp their own values lives half a second behind. What has arrived is kept with the reader's own
//! memory, so that power that goes within that time takes no scan along.

use super::scans::Scan;
use super::{Machine, Moment, Unsaved};
use crate::aggregate::saved::{self, Saved};
use crate::aggregate::scan::Meaning;
use crate::model::{BootTime, Stamp};
use crate::settings::shape::{ScanFor, ScanRule};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most scans that wait for their time: far more than readers can read in half a second.
const MAX_ARRIVED: usize = 64;

/// A scan in the checkpoint. JSON, since it carries rules of the settings.
#[derive(Debug, Serialize, Deserialize)]
struct SavedScan {
    reader: String,
    at: Stamp,
    text: String,
    symbology: Option<String>,
    meanings: Vec<SavedMeaning>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SavedMeaning {
    is: ScanFor,
    code: String,
    machine: Option<String>,
    rule: ScanRule,
}

impl SavedScan {
    fn of(scan: &Scan) -> SavedScan {
        let meaning = |one: &Meaning| SavedMeaning {
            is: one.is,
            code: one.code.clone(),
            machine: one.machine.clone(),
            rule: (*one.rule).clone(),
        };
        SavedScan {
            reader: scan.reader.clone(),
            at: scan.at,
            text: scan.text.clone(),
            symbology: scan.symbology.clone(),
            meanings: scan.meanings.iter().map(meaning).collect(),
        }
    }

    fn scan(self) -> Scan {
        let meaning = |one: SavedMeaning| Meaning {
            is: one.is,
            code: one.code,
            machine: one.machine,
            rule: Arc::new(one.rule),
        };
        Scan {
            reader: self.reader,
            at: self.at,
            text: self.text,
            symbology: self.symbology,
            meanings: self.meanings.into_iter().map(meaning).collect(),
        }
    }
}

impl Machine {
    /// A scan from another machine's reader, worked off when this machine's time has come to it. False when too many wait.
    pub(in crate::aggregate) fn arrive(&mut self, scan: Scan) -> bool {
        let room = self.scans.arrived.len() < MAX_ARRIVED;
        if room {
            let earlier = |one: &Scan| one.at.boot <= scan.at.boot;
            let place = self.scans.arrived.partition_point(earlier);
            self.scans.arrived.insert(place, scan);
            self.unsaved = Unsaved::Soon;
        }
        room
    }

    /// Works off the scans that have arrived.
    pub(super) fn scans_arrive(&mut self, moment: &mut Moment<'_>) {
        let now = moment.now.boot;
        let due = |scan: &mut Scan| scan.at.boot <= now;
        while let Some(scan) = self.scans.arrived.pop_front_if(due) {
            self.unsaved = Unsaved::Soon;
            self.mean(&scan, None, moment);
        }
    }

    pub(super) fn save_arrived(&self, into: &mut Saved) {
        if !self.scans.arrived.is_empty() {
            let scans: Vec<SavedScan> = self.scans.arrived.iter().map(SavedScan::of).collect();
            into.put_json(format!("{}/arrived", self.scope_key()), &scans);
        }
    }

    /// Where nobody knows how long ago they were read, their parts have waited too long.
    pub(super) fn restore_arrived(&mut self, entries: &super::Entries, resumed: &super::Resumed) {
        let bytes = entries.get(&format!("{}/arrived", self.scope_key()));
        let scans = bytes.and_then(|bytes| saved::read_json::<Vec<SavedScan>>(bytes));
        for saved in scans.into_iter().flatten() {
            let mut scan = saved.scan();
            scan.at.boot = if resumed.measurable {
                scan.at.boot.shifted(resumed.shift_ns)
            } else {
                BootTime(i64::MIN)
            };
            self.scans.arrived.push_back(scan);
        }
    }
}
