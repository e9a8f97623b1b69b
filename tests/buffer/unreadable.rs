//! Blocks that the disk does not give back: each costs what the file with it says, and stops neither a start nor a look.

use super::refusals::{after, child, settle_some, works};
use super::{DIRECTORY, MES, open, render, turn};
use millgate::buffer::{Answered, ParkedState, Parking, ToPark};
use millgate::model::{DropReason, ParkClass, Stamp};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Makes a store with a parked event and a settled one.
fn with_parked(path: &Path) -> std::path::PathBuf {
    let (mut store, restored) = open(path).unwrap();
    store
        .commit(&[turn(restored.next, 7)], Stamp::default(), &render)
        .unwrap();
    let record = store.read(restored.next, 1, 1).unwrap().remove(0);
    let at = record.position;
    let to_park = ToPark {
        record,
        class: ParkClass::Business,
        state: ParkedState::Rejected,
        attempts: 1,
        since_first: Duration::ZERO,
        answered: Answered::default(),
        wait: Duration::ZERO,
    };
    let parked = store.park(MES, to_park, Stamp::default()).unwrap();
    assert_eq!(parked, Parking::Done);
    settle_some(&mut store, restored.next);
    store.commit_progress().unwrap();
    path.join("parked/mes").join(at.to_string())
}

/// A bad block costs what the file with it says: the start goes on, and the commands say what is wrong.
#[test]
fn a_block_that_cannot_be_read_stops_neither_a_start_nor_a_look() {
    if !works("strace", &["-qq", "-o", "/dev/null"]) {
        return;
    }
    for is_parked in [false, true] {
        let home = tempfile::tempdir().unwrap();
        let parked = with_parked(home.path());
        let side = home.path().join("store/progress");
        let bad = if is_parked { &parked } else { &side };
        let run = |line: &[String]| {
            let output = Command::new("timeout")
                .args([
                    "--signal=KILL",
                    "60",
                    "strace",
                    "-f",
                    "-qq",
                    "-o",
                    "/dev/null",
                    "-P",
                ])
                .arg(bad)
                .args(["-e", "inject=read,pread64,preadv:error=EIO"])
                .args(line)
                .env(DIRECTORY, home.path())
                .output()
                .unwrap();
            let all = [output.stdout, output.stderr].concat();
            (output.status.code(), String::from_utf8(all).unwrap())
        };
        let command = |what: &str| {
            let program = env!("CARGO_BIN_EXE_millgate").to_owned();
            let path = home.path().to_str().unwrap().to_owned();
            let arguments = ["buffer", what].map(str::to_owned);
            run(&[vec![program], arguments.to_vec(), vec![path]].concat())
        };
        let (code, said) = command("status");
        assert!(code == Some(0) && said.contains("1.7"), "{said}");
        let (code, said) = command("verify");
        let words = match is_parked {
            true => "parked events of `mes`: 1 are lost (1 of the files cannot be read)",
            false => "the side file `progress`: nothing in it can be read",
        };
        assert!(code == Some(65) && said.contains(words), "{said}");
        let (_, said) = run(&child("refusals::opener"));
        assert_eq!(after(&said, "next is "), "8");
        let store = open(home.path()).unwrap().0;
        let account = store.account(MES);
        let dropped = account.dropped(DropReason::Damaged);
        assert_eq!(dropped, u64::from(is_parked), "{account:?}");
        assert_eq!(account.parked, u64::from(!is_parked), "{account:?}");
        assert_eq!(account.delivered, 1, "{account:?}");
        assert_eq!(account.offered, account.gone() + account.stored());
        assert_eq!(parked.exists(), !is_parked, "set aside, for people");
    }
}
