//! Without a gateway: on the files that the last one left.

use super::mes::Mes;
use super::{Gateway, account, file, home, letters, settings_for, store, wait_parked, wait_until};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use tempfile::TempDir;

/// A store with so many parked events that no gateway has open.
fn parked(events: u64, mes: &Mes) -> (TempDir, std::path::PathBuf) {
    let home = home();
    store(home.path(), events);
    let settings = settings_for(home.path(), mes, "");
    let gateway = Gateway::start(&settings);
    wait_parked(&settings, events);
    gateway.stop();
    (home, settings)
}

#[test]
fn a_retry_without_a_gateway_is_sent_when_it_starts() {
    let mes = Mes::of_orders();
    let (_home, settings) = parked(6, &mes);
    letters(&settings, &["retry", "1.2", "1.3"])
        .says(0, &["2 events of mes: sent again when the gateway starts"]);
    letters(&settings, &["list"]).says(0, &["retrying", "rejected"]);
    mes.open();
    let gateway = Gateway::start(&settings);
    wait_until("they are taken", || {
        mes.accepted("operation.completed").len() == 2
    });
    wait_parked(&settings, 4);
    assert_eq!(
        mes.accepted("operation.completed")
            .keys()
            .copied()
            .collect::<Vec<_>>(),
        [2, 3]
    );
    gateway.stop();
    assert_eq!(account(&settings)["parked"], 4);
}

#[test]
fn an_export_has_each_event_with_its_verdict_and_its_own_bytes() {
    let mes = Mes::of_orders();
    let (home, settings) = parked(4, &mes);
    letters(&settings, &["retry", "1.2", "--comment", "order reopened"]).says(0, &[]);
    let said = letters(&settings, &["export"]);
    said.says(0, &["4 events written"]);
    for (at, line) in said.out.lines().enumerate() {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert_eq!(entry["destination"], "mes");
        assert_eq!(entry["class"], "business");
        assert_eq!(entry["verdict"]["code"], "order-closed");
        assert_eq!(entry["verdict"]["status"], 422);
        assert_eq!(entry["verdict"]["body"]["code"], "order-closed");
        assert_eq!(entry["event"]["id"], entry["event_id"]);
        let bytes = line
            .split_once("\"event\":")
            .unwrap()
            .1
            .strip_suffix('}')
            .unwrap();
        assert_eq!(
            entry["event_sha256"],
            millgate::buffer::sha256(bytes.as_bytes())
        );
        if at == 1 {
            assert_eq!(entry["state"], "retrying");
            assert_eq!(entry["audit"][0]["comment"], "order reopened");
            assert_eq!(entry["audit"][0]["action"], "retry");
        }
    }
    let out = home.path().join("letters.jsonl");
    let out = out.to_str().unwrap();
    letters(&settings, &["export", "1.3", "--out", out]).says(0, &["1 event written to"]);
    letters(&settings, &["export", "--out", out]).says(64, &["is there already"]);
}

#[test]
fn damaged_files_are_told_and_the_others_are_changed() {
    let mes = Mes::of_orders();
    let (home, settings) = parked(4, &mes);
    std::fs::write(file(home.path(), 2), b"nonsense").unwrap();
    letters(&settings, &["list"])
        .says(65, &["the files of 1 event are damaged", "3 events parked"]);
    letters(&settings, &["retry", "--all"]).says(0, &["3 events of mes", "1 event are damaged"]);
    letters(&settings, &["show", "1.2"]).says(65, &["is not parked"]);
    letters(&settings, &["export"]).says(65, &["3 events written"]);
    mes.open();
    let gateway = Gateway::start(&settings);
    wait_until("the others are taken", || {
        mes.accepted("operation.completed").len() == 3
    });
    wait_parked(&settings, 0);
    assert_eq!(account(&settings)["dropped"]["damaged"], 1);
    gateway.stop();
}

#[test]
fn whoever_may_not_read_is_told_so() {
    let mes = Mes::of_orders();
    let (home, settings) = parked(1, &mes);
    let folder = home.path().join("parked/mes");
    if !nix::unistd::geteuid().is_root() {
        let mode = |mode| std::fs::set_permissions(&folder, PermissionsExt::from_mode(mode));
        mode(0o000).unwrap();
        letters(&settings, &["list"]).says(66, &["may not be read by this user"]);
        mode(0o700).unwrap();
        return;
    }
    // As root everything may be read: somebody else is asked.
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    };
    open(home.path(), 0o755);
    open(&folder, 0o700);
    let binary = home.path().join("millgate");
    std::fs::copy(env!("CARGO_BIN_EXE_millgate"), &binary).unwrap();
    open(&binary, 0o755);
    let output = Command::new(&binary)
        .args(["dead-letters", "list", "--config"])
        .arg(&settings)
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    super::Said::of(&output).says(66, &["may not be read by this user"]);
}
