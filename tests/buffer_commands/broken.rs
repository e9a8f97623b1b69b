//! Damaged stores: what is wrong is said in words, what can be read is exported, and a repair costs nothing more.

use super::{buffer, exported, generations, no_copies, options, store};
use millgate::buffer::Store;
use millgate::model::{DropReason, UplinkId};
use std::path::Path;

const EVENTS: u64 = 40;

/// Zeroes a file.
pub(super) fn zero(file: &Path) {
    let length = std::fs::metadata(file).unwrap().len();
    std::fs::write(file, vec![0; usize::try_from(length).unwrap()]).unwrap();
}

/// The numbers of the events in a generation.
fn span(generations: &[std::path::PathBuf], at: usize) -> std::ops::Range<u64> {
    let first = |path: &Path| -> u64 {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.split_once('.').unwrap().1.parse().unwrap()
    };
    let end = generations
        .get(at + 1)
        .map_or(EVENTS + 1, |next| first(next));
    first(&generations[at])..end
}

#[test]
fn an_older_generation_that_is_gone_is_told_set_aside_and_counted() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    let found = generations(home.path());
    let lost = span(&found, 1);
    let count = lost.end - lost.start;
    zero(&found[1].join("db"));
    let range = format!("1.{} to 1.{}", lost.start, lost.end - 1);
    let missing = format!("`scada` does not get {count} events");
    buffer("verify", home.path(), &[]).says(65, &["damaged: ", &range, &missing, "NOT GOOD"]);

    let said = buffer("export", home.path(), &[]);
    said.says(
        65,
        &["left out: ", &range, &format!("{count} could not be read")],
    );
    let whole: Vec<u64> = (1..=EVENTS).filter(|seq| !lost.contains(seq)).collect();
    assert_eq!(exported(&said), whole);

    buffer("repair", home.path(), &["--dry-run"])
        .says(0, &["To be done", &range, "Nothing was done"]);
    buffer("repair", home.path(), &[]).says(64, &["say `--yes`"]);
    assert_eq!(generations(home.path()), found, "nothing was done");
    buffer("repair", home.path(), &["--yes"]).says(0, &["set aside: ", "damaged-", &missing]);
    buffer("verify", home.path(), &[]).says(0, &["was damaged and set aside", "good"]);
    buffer("status", home.path(), &[])
        .says(0, &["was damaged and set aside", "by damage of the disk"]);

    let (mut store, restored) = Store::open(&options(home.path())).unwrap();
    assert_eq!((restored.next.epoch, restored.next.seq), (1, EVENTS + 1));
    for (uplink, delivered) in [(UplinkId(0), 5), (UplinkId(1), 0)] {
        let account = store.account(uplink);
        assert_eq!(account.dropped(DropReason::Damaged), count, "{account:?}");
        assert_eq!(account.stored(), EVENTS - delivered - count, "{account:?}");
    }
    let mut read = 0;
    let mut after = store.cursor(UplinkId(1));
    loop {
        let records = store.read_for(UplinkId(1), after, 100, 1 << 20).unwrap();
        let Some(last) = records.last() else { break };
        (read, after) = (read + records.len() as u64, last.position);
    }
    assert_eq!(read, EVENTS - count);
    no_copies(home.path());
}

#[test]
fn a_newest_generation_that_is_gone_begins_a_new_epoch() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    let found = generations(home.path());
    let lost = span(&found, found.len() - 1);
    zero(&found.last().unwrap().join("db"));
    let range = if lost.end - lost.start == 1 {
        format!("1.{EVENTS}")
    } else {
        format!("1.{} to 1.{EVENTS}", lost.start)
    };
    buffer("verify", home.path(), &[]).says(65, &["damaged: ", &range, "begins a new epoch"]);
    buffer("status", home.path(), &[]).says(0, &["Broken", "buffer verify"]);
    buffer("repair", home.path(), &["--yes"]).says(0, &["a new epoch has begun: the newest part"]);
    let (store, restored) = Store::open(&options(home.path())).unwrap();
    assert_eq!((restored.next.epoch, restored.next.seq), (2, 1));
    let account = store.account(UplinkId(1));
    assert_eq!(account.dropped(DropReason::Damaged), lost.end - lost.start);
    assert_eq!(account.stored(), lost.start - 1);
}

#[test]
fn what_can_be_renewed_is_renewed_and_nothing_is_lost() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    let found = generations(home.path());
    std::fs::write(found[0].join("conf"), "nonsense").unwrap();
    std::fs::remove_file(home.path().join("store/progress")).unwrap();
    std::fs::create_dir(home.path().join("store/creating")).unwrap();
    buffer("verify", home.path(), &[]).says(
        65,
        &[
            "`conf` is torn",
            "it is missing",
            "creating: left by a crash",
        ],
    );
    buffer("repair", home.path(), &["--yes"]).says(
        0,
        &[
            "done: make the side file",
            "done: tidy up creating",
            "done: make the `conf`",
        ],
    );
    assert!(!home.path().join("store/creating").exists());
    let (store, restored) = Store::open(&options(home.path())).unwrap();
    assert_eq!((restored.next.epoch, restored.next.seq), (1, EVENTS + 1));
    assert_eq!(store.account(UplinkId(0)).stored(), EVENTS - 5);
    drop(store);
    assert_eq!(
        exported(&buffer("export", home.path(), &[])),
        (1..=EVENTS).collect::<Vec<_>>()
    );
}

#[test]
fn random_damage_is_always_told_and_never_exported() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), EVENTS, 5);
    let trials = std::env::var("MILLGATE_TRIALS")
        .ok()
        .and_then(|it| it.parse().ok());
    for _ in 0..trials.unwrap_or(12) {
        let seed = std::env::var("MILLGATE_SEED")
            .ok()
            .and_then(|it| it.parse().ok());
        let seed = seed.unwrap_or_else(|| fastrand::u64(..));
        println!("MILLGATE_SEED={seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let copy = tempfile::tempdir().unwrap();
        let status = std::process::Command::new("cp")
            .arg("-a")
            .arg(home.path().join("store"))
            .arg(copy.path())
            .status();
        assert!(status.unwrap().success());
        let found = generations(copy.path());
        let at = random.usize(0..found.len());
        let file = found[at].join("db");
        let mut bytes = std::fs::read(&file).unwrap();
        let place = random.usize(0..bytes.len());
        if random.bool() {
            bytes[place] ^= 1 << random.u8(0..8);
        } else {
            let page = place / 4096 * 4096;
            let end = (page + 4096).min(bytes.len());
            bytes[page..end].fill(0);
        }
        std::fs::write(&file, bytes).unwrap();
        let verified = buffer("verify", copy.path(), &[]);
        verified.says(verified.code, &[]);
        assert!([0, 65].contains(&verified.code), "{}", verified.err);
        let said = buffer("export", copy.path(), &[]);
        let written = exported(&said);
        assert!(written.is_sorted());
        let inside = span(&found, at);
        for seq in 1..=EVENTS {
            assert!(
                inside.contains(&seq) || written.contains(&seq),
                "{seq} is gone"
            );
        }
        if verified.code == 0 {
            assert_eq!((said.code, written.len() as u64), (0, EVENTS));
        }
        buffer("repair", copy.path(), &["--yes"]).says(0, &[]);
        Store::open(&options(copy.path())).unwrap();
        no_copies(copy.path());
    }
}

/// Changes the values of the newest generation's database, and says what `verify` and `repair` make of it.
fn of_another_release(change: fn(&[u8]) -> Vec<u8>, words: &str) {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 3, 0);
    let newest = generations(home.path()).pop().unwrap();
    let database = sled_of(&newest);
    for item in database.iter() {
        let (key, value) = item.unwrap();
        if !value.is_empty() {
            database.insert(key, change(&value)).unwrap();
        }
    }
    database.flush().unwrap();
    drop(database);
    let before = std::fs::read(newest.join("db")).unwrap();
    buffer("verify", home.path(), &[]).says(65, &[words, "not touched"]);
    buffer("repair", home.path(), &["--yes"]).says(65, &[words, "Nothing was touched"]);
    assert_eq!(std::fs::read(newest.join("db")).unwrap(), before);
}

#[test]
fn a_store_of_a_newer_release_is_not_touched() {
    of_another_release(with_later_values, "another release of Millgate (version 9");
    of_another_release(
        |piece| [&[9], &piece[1..]].concat(),
        "other settings (layout 9",
    );
}

fn sled_of(path: &Path) -> sled::Db {
    let config = sled::Config::new()
        .path(path)
        .segment_size(1 << 20)
        .flush_every_ms(None);
    config.open().unwrap()
}

/// A frame of one piece whose sealed values are of version 9: behind three bytes of the piece and the frame's checksum come
/// entries, each with the lengths of its key and its value.
fn with_later_values(piece: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut rest = &piece[7..];
    while !rest.is_empty() {
        let key = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
        let value = u32::from_le_bytes(rest[2..6].try_into().unwrap()) as usize;
        let (entry, after) = rest.split_at(6 + key + value);
        body.extend_from_slice(&entry[..6 + key]);
        body.extend(renumbered(&entry[6 + key..]));
        rest = after;
    }
    let crc = crc32c::crc32c(&body).to_le_bytes();
    [&piece[..3], &crc, &body].concat()
}

/// A sealed value as version 9 would have it.
fn renumbered(sealed: &[u8]) -> Vec<u8> {
    let body = &sealed[5..];
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[9]), body);
    [&[9], crc.to_le_bytes().as_slice(), body].concat()
}
