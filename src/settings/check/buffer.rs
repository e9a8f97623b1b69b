//! The buffer's keys: sizes and times that work, held against one another; and what its box is too small for.

use crate::settings::problem::Problem;
use crate::settings::report::Report;
use crate::settings::shape::{Buffer, File};
use crate::settings::units::{ByteSize, Period};
use std::path::Path;
use std::time::Duration;

/// Payload of a generation.
const GENERATION: std::ops::RangeInclusive<u64> = (4 << 20)..=(32 << 20);
/// Shortest period of checkpoints: each is a write to the flash.
const CHECKPOINT_AT_LEAST: Duration = Duration::from_millis(100);
/// Smallest store, in generations: events go by the generation, and there is one that is written and one that is
/// rewritten without its passing events.
const LEAST_GENERATIONS: u64 = 8;
/// Largest store: the numbering and the accounts are made for that.
const MAX_SIZE_AT_MOST: u64 = 1 << 40;
/// Shortest age at which events are dropped.
const MAX_AGE_AT_LEAST: Duration = Duration::from_secs(3600);
/// An outage that every plant has: a long weekend.
const WEEKEND: Duration = Duration::from_secs(72 * 3600);

pub(super) fn check(buffer: &Buffer, report: &mut Report) {
    if buffer.path.as_os_str().is_empty() {
        report.add(
            "buffer.path",
            "`path` is empty: write the directory that keeps the events, such as /var/lib/millgate",
        );
    }
    if !GENERATION.contains(&buffer.generation_size.0) {
        let found = report.written("buffer.generation_size");
        report.add(
            "buffer.generation_size",
            format!("{found} is out of range: `generation_size` is 4MiB to 32MiB"),
        );
    } else {
        size(buffer, report);
    }
    if buffer.checkpoint_every.get() < CHECKPOINT_AT_LEAST {
        let found = report.written("buffer.checkpoint_every");
        report.add(
            "buffer.checkpoint_every",
            format!(
                "{found} is too short: at least 100ms, each checkpoint is a write to the flash"
            ),
        );
    }
    ages(buffer, report);
}

fn size(buffer: &Buffer, report: &mut Report) {
    let least = buffer.generation_size.0.saturating_mul(LEAST_GENERATIONS);
    if buffer.max_size.0 < least {
        let (found, least) = (shown(buffer.max_size), shown(ByteSize(least)));
        report.add(
            "buffer.max_size",
            format!(
                "`{found}` is too small: at least {least}, eight times `generation_size`, for a full buffer gives events \
                 up by the generation"
            ),
        );
    } else if buffer.max_size.0 > MAX_SIZE_AT_MOST {
        let found = shown(buffer.max_size);
        report.add(
            "buffer.max_size",
            format!("`{found}` is too large: at most 1TiB"),
        );
    }
}

fn ages(buffer: &Buffer, report: &mut Report) {
    if buffer.max_age.get() < MAX_AGE_AT_LEAST {
        let found = report.written("buffer.max_age");
        report.add(
            "buffer.max_age",
            format!(
                "{found} is too short: at least 1h, or a MES that restarts costs events; they are dropped when they are \
                 older"
            ),
        );
    } else if buffer.keep_delivered > buffer.max_age {
        let (kept, age) = (
            String::from(buffer.keep_delivered),
            String::from(buffer.max_age),
        );
        report.add(
            "buffer.keep_delivered",
            format!("`{kept}` is longer than `max_age: {age}`: nothing older than that is kept"),
        );
    }
}

/// What is allowed and probably not meant, and what the box is too small for.
pub(super) fn warnings(file: &File, found: &mut Vec<Problem>) {
    let buffer = &file.buffer;
    if buffer.max_age.get() < WEEKEND {
        let age = String::from(buffer.max_age);
        let message = format!(
            "events older than {age} are dropped, whether they are delivered or not: a MES that is away over a long weekend \
             (72h) costs events"
        );
        found.push(Problem::new("buffer.max_age", message));
    }
    if buffer.keep_delivered > Period::default() && file.uplinks.is_empty() {
        let message = "without uplinks nothing is delivered, so nothing is kept after it";
        found.push(Problem::new("buffer.keep_delivered", message));
    }
    if let Some(message) = too_large(buffer.max_size.0, total(&buffer.path)) {
        found.push(Problem::new("buffer.max_size", message));
    }
}

/// All bytes of the file system of a directory; `None` where it is not there: another box.
fn total(path: &Path) -> Option<u64> {
    let found = nix::sys::statvfs::statvfs(path).ok()?;
    Some(found.blocks().saturating_mul(found.fragment_size()))
}

fn too_large(max_size: u64, total: Option<u64>) -> Option<String> {
    let total = total.filter(|total| *total > 0)?;
    let most = total / 5 * 4;
    (max_size > most).then(|| {
        format!(
            "the file system of `path` has {}: the store takes at most 80 % of it, not {}",
            rough(total),
            shown(ByteSize(max_size))
        )
    })
}

/// A size of the box, to the MiB.
fn rough(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

fn shown(size: ByteSize) -> String {
    String::from(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_that_is_too_small_is_told() {
        let gib = 1 << 30;
        assert_eq!(too_large(4 * gib, Some(8 * gib)), None);
        assert_eq!(too_large(4 * gib, None), None);
        assert_eq!(too_large(4 * gib, Some(0)), None);
        assert_eq!(
            too_large(4 * gib, Some(2 * gib)).unwrap(),
            "the file system of `path` has 2048 MiB: the store takes at most 80 % of it, not 4GiB"
        );
        assert!(total(Path::new("/")).is_some_and(|total| total > 0));
        assert_eq!(total(Path::new("/no/such/place")), None);
    }
}
