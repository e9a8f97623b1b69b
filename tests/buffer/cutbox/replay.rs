//! Takes cuts one by one: gives a disk the content of the cut, mounts it, which replays the journal, and has a child judge
//! the store on it.

use super::super::DIRECTORY;
use super::super::refusals::child;
use super::device::{Scratch, mount_ext4, unmount};
use super::log::{Cut, Log, Replay};
use super::store::{BEGUN, DONE, SEED, VERDICT, WHOLE};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Far longer than any store takes to open; after that a child counts as hanging.
const PATIENCE_S: &str = "60";

/// What came of a round of cuts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Cuts that were taken.
    pub(super) cuts: usize,
    /// The cut and what is wrong, where something is.
    pub(super) harmed: Vec<(Cut, String)>,
}

/// Takes all cuts of a log, which must rise, with so many disks at a time.
pub(super) fn take(home: &Path, log: &Log, cuts: &[Cut], seed: u64, disks: usize) -> Tally {
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for disk in 0..disks {
            let tally = &tally;
            scope.spawn(move || {
                let mut place = Place::new(&home.join(format!("scratch-{disk}")));
                let mut replay = Replay::new(log);
                for cut in cuts.iter().skip(disk).step_by(disks) {
                    let verdict = place.judge(&mut replay, *cut, seed);
                    let mut tally = tally.lock().unwrap();
                    tally.cuts += 1;
                    if verdict != WHOLE {
                        tally.harmed.push((*cut, verdict));
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

/// A disk and where it is mounted.
struct Place {
    scratch: Scratch,
    mounted: PathBuf,
}

impl Place {
    fn new(home: &Path) -> Place {
        std::fs::create_dir_all(home).unwrap();
        let mounted = home.join("mounted");
        std::fs::create_dir_all(&mounted).unwrap();
        Place {
            scratch: Scratch::new(&home.join("disk")),
            mounted,
        }
    }

    fn judge(&mut self, replay: &mut Replay<'_>, cut: Cut, seed: u64) -> String {
        let content = replay.content(cut);
        self.scratch.hold(&content).unwrap();
        if let Err(error) = mount_ext4(&self.scratch.device, &self.mounted) {
            return format!("the file system cannot be mounted: {error}");
        }
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", PATIENCE_S])
            .args(child("cutbox::store::judge"))
            .env(DIRECTORY, &self.mounted)
            .env(SEED, seed.to_string());
        for (name, step) in [(BEGUN, replay.begun), (DONE, replay.done)] {
            match step {
                Some(step) => command.env(name, step.to_string()),
                None => command.env_remove(name),
            };
        }
        let output = command.output().unwrap();
        unmount(&self.mounted).unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let verdict = said.lines().find_map(|line| line.strip_prefix(VERDICT));
        verdict.map_or_else(
            || format!("no verdict, {}: {said}", output.status),
            str::to_owned,
        )
    }
}
