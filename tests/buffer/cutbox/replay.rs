//! Takes cuts one by one: gives a disk the content of the cut, mounts it, which replays the journal, and has a child judge
//! the store on it.

use super::super::DIRECTORY;
use super::super::refusals::child;
use super::KEEP;
use super::device::{Recorder, Scratch, mount_ext4, unmount};
use super::log::{Cut, Log, Replay, Told};
use super::store::{AGAIN, BEGUN, DONE, SEED, VERDICT, WHOLE};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Far longer than any store takes to open; after that a child counts as hanging.
const PATIENCE_S: &str = "60";
const MAX_KEPT: usize = 5;

/// What came of cuts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Cuts that were taken.
    pub(super) cuts: usize,
    /// The cut and what is wrong, where something is.
    pub(super) harmed: Vec<(Cut, String)>,
}

/// A log, and what judges must know about it.
pub(super) struct Case<'a> {
    pub(super) log: &'a Log,
    /// Of the workload.
    pub(super) seed: u64,
    /// The cut before, where it is the log of a judge at work.
    pub(super) first: Option<Cut>,
}

impl Case<'_> {
    /// Takes cuts, which must rise, on so many disks at a time.
    pub(super) fn take(&self, home: &Path, cuts: &[Cut], disks: usize) -> Tally {
        let tally = Mutex::new(Tally::default());
        std::thread::scope(|scope| {
            for disk in 0..disks.min(cuts.len()) {
                let tally = &tally;
                scope.spawn(move || {
                    let home = tempfile::tempdir_in(home).unwrap();
                    let mut place = Place::new(home.path());
                    let mut replay = Replay::new(self.log);
                    for cut in cuts.iter().skip(disk).step_by(disks) {
                        let verdict = self.judge(&mut place, &mut replay, *cut);
                        let mut tally = tally.lock().unwrap();
                        tally.cuts += 1;
                        if verdict != WHOLE {
                            keep(tally.harmed.len(), replay.content(*cut));
                            tally.harmed.push((*cut, verdict));
                        }
                    }
                });
            }
        });
        tally.into_inner().unwrap()
    }

    fn judge(&self, place: &mut Place, replay: &mut Replay<'_>, cut: Cut) -> String {
        let content = replay.content(cut);
        place.scratch.hold(content).unwrap();
        if let Err(error) = mount_ext4(place.scratch.device(), &place.mounted) {
            return format!("the file system cannot be mounted: {error}");
        }
        let output = self.judging(&place.mounted, replay.told()).output();
        unmount(&place.mounted).unwrap();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let verdict = said.lines().find_map(|line| line.strip_prefix(VERDICT));
        verdict.map_or_else(
            || format!("no verdict, {}: {said}", output.status),
            str::to_owned,
        )
    }

    fn judging(&self, mounted: &Path, told: Told) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["--signal=KILL", PATIENCE_S])
            .args(child("cutbox::store::judge"))
            .env(DIRECTORY, mounted)
            .env(SEED, self.seed.to_string());
        for (name, step) in [(BEGUN, told.begun), (DONE, told.done)] {
            if let Some(step) = step {
                command.env(name, step.to_string());
            }
        }
        if self.first.is_some() {
            command.env(AGAIN, "1");
        }
        command
    }

    /// Lets a judge work on what a cut left, and logs what that does to the disk: the power may go again.
    pub(super) fn record_judge(&self, home: &Path, cut: Cut) -> Log {
        let mut replay = Replay::new(self.log);
        let content = replay.content(cut).to_vec();
        let recorder = Recorder::start(home, &content);
        // What it says is the business of the cut's own judging.
        self.judging(&recorder.mounted(), replay.told())
            .output()
            .unwrap();
        Log::read(content, replay.told(), &recorder.stop())
    }
}

/// Keeps the first few disks of harmed stores, to be looked at: what threads do is not in the seed, so that no other run
/// is the same.
fn keep(number: usize, content: &[u8]) {
    if let Some(folder) = std::env::var_os(KEEP).filter(|_| number < MAX_KEPT) {
        std::fs::write(Path::new(&folder).join(format!("harmed-{number}")), content).unwrap();
    }
}

/// A disk and where it is mounted.
struct Place {
    scratch: Scratch,
    mounted: PathBuf,
}

impl Place {
    fn new(home: &Path) -> Place {
        let mounted = home.join("mounted");
        std::fs::create_dir(&mounted).unwrap();
        Place {
            scratch: Scratch::new(&home.join("disk")),
            mounted,
        }
    }
}
