//! What the system refuses: a read-only file system, missing permission, no space. Each is said plainly, nothing hangs, and
//! nothing accepted is lost. File systems are mounted in a name space of the test's own.

use super::{DIRECTORY, MES, open, render, turn};
use millgate::buffer::{Fate, Settled, Store};
use millgate::model::{Position, Stamp};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Opens the store and says what came of it.
#[test]
#[ignore = "a child of the tests below"]
fn opener() {
    match open(Path::new(&std::env::var(DIRECTORY).unwrap())) {
        Ok((_, restored)) => println!("\nnext is {}", restored.next.seq),
        Err(error) => println!("\nrefused: {error}"),
    }
}

/// More events than any disk of these tests takes before it refuses: without a fault a filler ends by itself.
const MOST_EVENTS: u64 = 60_000;

/// Appends until the disk is full and says how far it came.
#[test]
#[ignore = "a child of the tests below"]
fn filler() {
    let path = std::env::var(DIRECTORY).unwrap();
    let (mut store, restored) = open(Path::new(&path)).unwrap();
    let mut next = restored.next;
    let error = loop {
        assert!(next.seq < MOST_EVENTS, "the disk never refused");
        match store.commit(&[turn(next, 7)], Stamp::default(), &render) {
            Ok(_) => next.seq += 7,
            Err(error) => break error,
        }
    };
    println!("\naccepted up to {}", next.seq - 1);
    println!("refused: {error}");
}

/// A command line that runs a child.
pub(super) fn child(name: &str) -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    let name = format!("buffer::{name}");
    let arguments = [
        program.to_str().unwrap(),
        &name,
        "--exact",
        "--ignored",
        "--nocapture",
    ];
    arguments.map(str::to_owned).to_vec()
}

/// Whether a tool of the tests works here. A missing tool is a failure with `CI=true`; that the machine forbids what it
/// does is none.
pub(crate) fn works(tool: &str, arguments: &[&str]) -> bool {
    if !installed(tool) {
        return false;
    }
    let status = Command::new(tool).args(arguments).arg("true").status();
    let works = status.is_ok_and(|status| status.success());
    if !works {
        forbidden(&format!("{tool} {}", arguments.join(" ")));
    }
    works
}

/// Whether there is a program of this name; that there is none is a failure with `CI=true`.
pub(super) fn installed(tool: &str) -> bool {
    let run = Command::new(tool).arg("--version").output();
    let installed = run.is_ok();
    if !installed {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "{tool} is not installed; with CI=true nothing is skipped"
        );
        println!("skipped: {tool} is not installed");
    }
    installed
}

/// Says what the machine does not allow; no failure, also not with `CI=true`.
pub(super) fn forbidden(what: &str) {
    println!("not allowed here: {what}");
}

/// Runs a shell script as root of a user name space, where it may mount; `None` where that is not possible.
fn unshared(directory: &Path, script: &str) -> Option<String> {
    if !works("unshare", &["-rm"]) {
        return None;
    }
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-ec", script])
        .env(DIRECTORY, directory)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}\n{errors}");
    Some(text)
}

/// Runs a child under strace with a fault of a system call, by its number in the thread that makes it: what the child said,
/// and how often it met the fault. `None` where that is not possible. A child that hangs is ended and has not said enough.
fn faulty(directory: &Path, (call, fault): (&str, &str), name: &str) -> Option<(String, usize)> {
    if !works("strace", &["-qq", "-o", "/dev/null"]) {
        return None;
    }
    let trace = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new("timeout")
        .args(["--signal=KILL", "60", "strace", "-f", "-qq", "-o"])
        .arg(trace.path())
        .args(["-e", &format!("trace={call}"), "-e", fault])
        .args(child(name))
        .env(DIRECTORY, directory)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let trace = std::fs::read_to_string(trace.path()).unwrap();
    Some((text, trace.matches("(INJECTED)").count()))
}

/// What follows `words` on a line.
pub(super) fn after<'a>(text: &'a str, words: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(words));
    line.unwrap_or_else(|| panic!("no `{words}` in:\n{text}"))
}

#[test]
fn a_read_only_file_system_is_said_plainly() {
    let home = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs none \"${DIRECTORY}\"; mount -o remount,ro \"${DIRECTORY}\"; {}",
        child("refusals::opener").join(" ")
    );
    if let Some(text) = unshared(home.path(), &script) {
        let refused = after(&text, "refused: ");
        assert!(refused.contains("mounted read-only"), "{refused}");
        assert!(refused.contains(home.path().to_str().unwrap()), "{refused}");
    }
}

#[test]
fn missing_permission_is_said_plainly() {
    let home = tempfile::tempdir().unwrap();
    let closed = home.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let mode = std::fs::Permissions::from_mode;
    std::fs::set_permissions(home.path(), mode(0o755)).unwrap();
    std::fs::set_permissions(&closed, mode(0o555)).unwrap();
    let line = child("refusals::opener");
    // A copy, because the build directory may be closed to others.
    let program = home.path().join("child");
    std::fs::copy(&line[0], &program).unwrap();
    let mut command = Command::new(program);
    command.args(&line[1..]).env(DIRECTORY, &closed);
    if std::fs::metadata(&closed).unwrap().uid() == 0 {
        // Nothing is forbidden to root.
        command.uid(65_534).gid(65_534);
    }
    let output = command.current_dir("/").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let refused = after(&text, "refused: ");
    assert!(
        refused.contains("may not be written by this user"),
        "{refused}"
    );
}

#[test]
fn a_full_disk_is_met_before_it_is_written_to_and_harms_nothing() {
    // The sizes differ so that the disk fills at different places of a generation. The largest has room for a ballast. The
    // disk is mostly taken by others, or the store would keep within its 80 % of it and never meet the end.
    const TAKEN_KIB: u64 = 100_000;
    for (kib, opens_when_full) in [(5_000, false), (6_100, false), (18_000, true)] {
        let home = tempfile::tempdir().unwrap();
        let (filler, opener) = (
            child("refusals::filler").join(" "),
            child("refusals::opener").join(" "),
        );
        let script = format!(
            "mount -t tmpfs -o size={}k none \"${DIRECTORY}\"; \
             head -c {TAKEN_KIB}k /dev/zero >\"${DIRECTORY}/taken\"; {filler}; \
             dd if=/dev/zero of=\"${DIRECTORY}/other\" bs=4k 2>/dev/null || true; \
             {opener} | sed 's/^/full: /'; rm \"${DIRECTORY}/other\"; {opener}",
            kib + TAKEN_KIB
        );
        let Some(text) = unshared(home.path(), &script) else {
            return;
        };
        let refused = after(&text, "refused: ");
        assert!(refused.contains("is full"), "{refused}");
        let accepted: u64 = after(&text, "accepted up to ").parse().unwrap();
        assert!(accepted > 0, "{text}");
        let next = format!("next is {}", accepted + 1);
        let full = text.lines().filter_map(|line| line.strip_prefix("full: "));
        let full: Vec<&str> = full
            .filter(|line| line.starts_with("next") || line.starts_with("refused"))
            .collect();
        if opens_when_full {
            assert_eq!(full, [next.as_str()], "{text}");
        } else {
            // Without a ballast it may be refused as long as nothing gives way, which harms nothing.
            let said = full.iter().all(|it| it.contains("is full") || *it == next);
            assert!(said && full.len() == 1, "{text}");
        }
        assert_eq!(after(&text, "next is "), (accepted + 1).to_string());
    }
}

/// Refusals in a row before it gives up: each of the database's seven threads may meet the fault, one after the other.
const MOST_REFUSALS: usize = 12;

/// Appends so many turns; after an error the same one again, as the gateway's task does.
#[test]
#[ignore = "a child of the tests below"]
fn persistent() {
    let path = std::env::var(DIRECTORY).unwrap();
    let (mut store, restored) = open(Path::new(&path)).unwrap();
    let mut next = restored.next;
    let mut errors = 0;
    while next.seq < 4_000 && errors < MOST_REFUSALS {
        match store.commit(&[turn(next, 7)], Stamp::default(), &render) {
            Ok(_) => {
                println!("\naccepted up to {}", next.seq + 6);
                settle_some(&mut store, next);
                next.seq += 7;
                errors = 0;
            }
            Err(error) => {
                println!("\nrefused: {error}");
                errors += 1;
            }
        }
    }
    assert_eq!(
        store.account(MES).offered,
        next.seq - 1,
        "a refusal is no event"
    );
    // Whoever reads sees all of them, whichever generation they are in.
    let mut read = 0;
    while let Some(record) = store
        .read(Position { seq: read, ..next }, 1, 1)
        .ok()
        .and_then(|found| found.into_iter().next())
    {
        assert_eq!(record.payload, super::payload(record.position));
        read = record.position.seq;
    }
    println!("\nread up to {read}");
}

/// Every fifth event is delivered, above a cursor that stays where it is. What the disk refuses of that is said again later.
pub(super) fn settle_some(store: &mut Store, first: Position) {
    let fifth = (first.seq..first.seq + 7).filter(|seq| seq.is_multiple_of(5));
    let at = |seq| (Position { seq, ..first }, Fate::Delivered);
    let settled = Settled {
        up_to: Position::default(),
        fates: fifth.map(at).collect(),
    };
    store.settle(MES, &settled).ok();
}

/// Each event stands in one place of the account, and what it says to be stored can be read.
fn conserved(store: &mut Store) {
    let account = store.account(MES);
    let (mut waiting, mut after) = (0, store.cursor(MES));
    while let Some(last) = {
        let records = store.read_for(MES, after, 64, 1 << 20).unwrap();
        waiting += records.len() as u64;
        records.last().map(|record| record.position)
    } {
        after = last;
    }
    assert_eq!(account.stored(), waiting, "{account:?}");
    assert_eq!(account.offered, account.delivered + waiting, "{account:?}");
    assert_eq!(account.offered, store.last().seq, "{account:?}");
}

/// Whatever was accepted is there, in order, and in the account.
fn has_all(store: &mut Store, last: u64) {
    conserved(store);
    let mut read = Position {
        seq: 0,
        ..store.last()
    };
    while read.seq < last {
        for record in store.read(read, 64, 1 << 20).unwrap() {
            assert_eq!(record.position.seq, read.seq + 1);
            assert_eq!(record.payload, super::payload(record.position));
            read = record.position;
        }
    }
}

#[test]
fn after_a_failed_write_it_goes_on_in_the_same_process() {
    let mut failed = 0;
    for (call, error) in [
        ("pwrite64", "ENOSPC"),
        ("pwrite64", "EIO"),
        ("sync_file_range", "EDQUOT"),
        ("fdatasync", "EIO"),
    ] {
        for when in [12, 23, 34] {
            let home = tempfile::tempdir().unwrap();
            let fault = format!("inject={call}:error={error}:when={when}");
            let run = faulty(home.path(), (call, &fault), "refusals::persistent");
            let Some((text, met)) = run else {
                return;
            };
            println!("{fault}: met {met} times");
            assert!(met > 0, "{fault}: nobody met it");
            let accepted = text
                .lines()
                .filter_map(|line| line.strip_prefix("accepted up to "));
            let accepted: Vec<u64> = accepted.map(|it| it.parse().unwrap()).collect();
            failed += usize::from(text.contains("refused: "));
            let last = *accepted.last().unwrap();
            assert!(last >= 3_990, "{fault}: {text}");
            assert_eq!(after(&text, "read up to "), last.to_string(), "{fault}");
            let (mut store, restored) = open(home.path()).unwrap();
            assert_eq!((restored.next.epoch, restored.next.seq), (1, last + 1));
            has_all(&mut store, last);
        }
    }
    assert!(failed > 3, "only {failed} faults were met");
}

#[test]
fn a_disk_that_stays_full_is_refused_again_and_again_and_never_hangs() {
    let home = tempfile::tempdir().unwrap();
    let fault = "inject=pwrite64:error=ENOSPC:when=20+";
    let Some((text, met)) = faulty(home.path(), ("pwrite64", fault), "refusals::persistent") else {
        return;
    };
    // Threads that have not written so often yet may still be lucky; in the end all are refused.
    let (before, after) = text.rsplit_once("accepted up to ").unwrap();
    assert_eq!(after.matches("refused: ").count(), MOST_REFUSALS, "{text}");
    assert!(met >= 6, "{met}: {text}");
    assert!(text.matches("is full").count() >= MOST_REFUSALS, "{text}");
    let accepted = (before.matches("accepted up to ").count() as u64 + 1) * 7;
    let (_, restored) = open(home.path()).unwrap();
    assert_eq!(restored.next.epoch, 1);
    assert!(restored.next.seq > accepted && restored.next.seq <= accepted + 8);
}

/// As the kernel does with a file system in which it finds an error, and a quota with a user that has used it up.
#[test]
fn a_disk_that_turns_read_only_or_over_quota_in_flight_harms_nothing() {
    for (call, error, words) in [
        ("pwrite64", "EROFS", "mounted read-only"),
        ("fdatasync", "EROFS", "mounted read-only"),
        ("pwrite64", "EDQUOT", "is full"),
    ] {
        for when in [15, 26] {
            let home = tempfile::tempdir().unwrap();
            let fault = format!("inject={call}:error={error}:when={when}+");
            let run = faulty(home.path(), (call, &fault), "refusals::persistent");
            let Some((text, met)) = run else {
                return;
            };
            println!("{fault}: met {met} times");
            let refused: Vec<&str> = text
                .lines()
                .filter_map(|line| line.strip_prefix("refused: "))
                .collect();
            assert!(met > 0 && refused.len() >= 6, "{fault}: {text}");
            assert!(refused.iter().any(|it| it.contains(words)), "{text}");
            let mut accepted = text
                .lines()
                .filter_map(|line| line.strip_prefix("accepted up to "));
            let accepted: u64 = accepted.next_back().unwrap().parse().unwrap();
            // An older part is opened for reading, and to open it is to write to it: nobody who may not write at all reads it.
            let read: u64 = after(&text, "read up to ").parse().unwrap();
            assert!(read == accepted || call == "pwrite64" && read < accepted);
            let (mut store, restored) = open(home.path()).unwrap();
            assert_eq!((restored.next.epoch, store.new_epoch()), (1, None));
            has_all(&mut store, accepted);
            // The batch that was refused last may be there.
            assert!((accepted..=accepted + 7).contains(&store.last().seq));
        }
    }
}

/// Bytes are left, names are not.
#[test]
fn a_file_system_without_names_refuses_and_harms_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (filler, opener) = (
        child("refusals::filler").join(" "),
        child("refusals::opener").join(" "),
    );
    let script = format!(
        "mount -t tmpfs -o size=400m,nr_inodes=90 none \"${DIRECTORY}\"; {filler}; \
         n=0; while touch \"${DIRECTORY}/other$n\" 2>/dev/null; do n=$((n+1)); done; \
         {opener} | sed 's/^/full: /'; rm \"${DIRECTORY}\"/other*; {opener}"
    );
    let Some(text) = unshared(home.path(), &script) else {
        return;
    };
    let refused = after(&text, "refused: ");
    assert!(refused.contains("is full"), "{refused}");
    let accepted: u64 = after(&text, "accepted up to ").parse().unwrap();
    assert!(accepted > 100, "{text}");
    let next = format!("next is {}", accepted + 1);
    let full = text.lines().filter_map(|line| line.strip_prefix("full: "));
    let full: Vec<&str> = full
        .filter(|line| line.starts_with("next") || line.starts_with("refused"))
        .collect();
    let said = full.iter().all(|it| it.contains("is full") || *it == next);
    assert!(said && full.len() == 1, "{text}");
    assert_eq!(after(&text, "next is "), (accepted + 1).to_string());
}

#[test]
fn a_disk_that_fails_ends_in_an_error_and_never_in_waiting() {
    // Late enough that other threads wait for the failing one; at different places of a batch. It goes on failing: a
    // rotation that fails once is tried again.
    for when in 40..46 {
        for call in ["sync_file_range", "fdatasync"] {
            let home = tempfile::tempdir().unwrap();
            let fault = format!("inject={call}:error=EIO:delay_enter=20000:when={when}+");
            let Some((text, met)) = faulty(home.path(), (call, &fault), "refusals::filler") else {
                return;
            };
            println!("{fault}: met {met} times");
            assert!(met > 0, "{fault}: nobody met it");
            let accepted: u64 = after(&text, "accepted up to ").parse().unwrap();
            let refused = after(&text, "refused: ");
            assert!(refused.contains("check the disk"), "{refused}");
            let (mut store, _) = open(home.path()).unwrap();
            assert_eq!(store.last().epoch, 1);
            assert!(store.last().seq >= accepted, "{} of {text}", store.last());
            has_all(&mut store, accepted);
        }
    }
}
