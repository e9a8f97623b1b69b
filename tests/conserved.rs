//! Conservation, asked at the end of a test that ran a whole gateway: of the store that it left behind, by the commands that
//! people use. Each accepted event stands in one place, and what stands there is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Where the events of one uplink went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) offered: u64,
    pub(crate) delivered: u64,
    pub(crate) filtered: u64,
    pub(crate) parked: u64,
    pub(crate) discarded: u64,
    pub(crate) dropped: u64,
    /// The `sequence` of each event that waits.
    pub(crate) waiting: BTreeSet<String>,
}

fn millgate(what: &str, path: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["buffer", what])
        .arg(path)
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn account(path: &Path, uplink: &serde_json::Value) -> Account {
    let count = |name: &str| uplink[name].as_u64().unwrap();
    let name = uplink["name"].as_str().unwrap().to_owned();
    let dropped = uplink["dropped"].as_object().unwrap().values();
    let waiting = millgate("export", path, &["--uplink", &name]);
    let waiting = waiting.lines().map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["sequence"].as_str().unwrap().to_owned()
    });
    let account = Account {
        offered: count("offered"),
        delivered: count("delivered"),
        filtered: count("filtered"),
        parked: count("parked"),
        discarded: count("discarded"),
        dropped: dropped.map(|count| count.as_u64().unwrap()).sum(),
        waiting: waiting.collect(),
        name,
    };
    let stored = count("waiting");
    assert_eq!(account.waiting.len() as u64, stored, "{account:?}");
    account
}

/// Checks the store that a gateway left in `path`, its `buffer.path`: of each uplink, offered = delivered + filtered + parked +
/// discarded + dropped + stored, with as many events and files there as it says.
pub(crate) fn check(path: &Path) -> Vec<Account> {
    let said: serde_json::Value =
        serde_json::from_str(&millgate("status", path, &["--json"])).unwrap();
    assert!(said["gateway"].is_null(), "a gateway runs on it");
    let uplinks = said["status"]["uplinks"].as_array().unwrap();
    let accounts: Vec<Account> = uplinks.iter().map(|uplink| account(path, uplink)).collect();
    for it in &accounts {
        let gone = it.delivered + it.filtered + it.parked + it.discarded + it.dropped;
        assert_eq!(it.offered, gone + it.waiting.len() as u64, "{it:?}");
        let files = match std::fs::read_dir(path.join("parked").join(&it.name)) {
            Ok(names) => {
                let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
                let whole = |name: &String| name.starts_with(|first: char| first.is_ascii_digit());
                names.filter(whole).count()
            }
            Err(_) => 0,
        };
        assert_eq!(it.parked, files as u64, "{it:?}");
    }
    assert!(!accounts.is_empty());
    accounts
}

/// [`check`], and what a destination got, by the `sequence` of each event, is what its uplink says, with at most `window`
/// deliveries of which the verdict was not noted: an uplink that was there from the first event on.
pub(crate) fn check_arrived(path: &Path, name: &str, arrived: &BTreeSet<String>, window: usize) {
    let accounts = check(path);
    let found = accounts.into_iter().find(|account| account.name == name);
    let account = found.unwrap_or_else(|| panic!("no uplink {name}"));
    let elsewhere = account.filtered + account.parked + account.discarded + account.dropped;
    let either = arrived.union(&account.waiting).count() as u64;
    assert_eq!(either + elsewhere, account.offered, "{account:?}");
    let unnoted = arrived.intersection(&account.waiting).count();
    assert!(unnoted <= window, "{unnoted} came and wait: {account:?}");
    let delivered = account.delivered + unnoted as u64;
    assert_eq!(delivered, arrived.len() as u64, "{account:?}");
}
