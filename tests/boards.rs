//! The board profiles are complete, and whatever they name exists: the target in `cross.toml`, the folder in the README.

use serde_json::Value;
use std::path::{Path, PathBuf};

const KEYS: [&str; 12] = [
    "name",
    "target",
    "boot",
    "recognised_by",
    "storage",
    "rtc",
    "watchdog",
    "serial",
    "leds",
    "kernel_package",
    "console",
    "confirmed_on",
];

fn profiles() -> Vec<(String, Value)> {
    let boards = Path::new(env!("CARGO_MANIFEST_DIR")).join("boards");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(boards)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    folders
        .into_iter()
        .map(|folder| {
            let text = std::fs::read_to_string(folder.join("board.yaml")).unwrap();
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let profile = serde_saphyr::from_str(&text)
                .unwrap_or_else(|error| panic!("boards/{name}/board.yaml: {error}"));
            (name, profile)
        })
        .collect()
}

#[test]
fn every_profile_has_every_key_and_no_other() {
    for (board, profile) in profiles() {
        let keys: Vec<&str> = profile
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(
            keys, KEYS,
            "boards/{board}/board.yaml: these keys, in this order"
        );
    }
}

#[test]
fn the_words_are_those_of_the_readme() {
    for (board, profile) in profiles() {
        let boot = profile["boot"].as_str().unwrap();
        assert!(
            ["uefi", "u-boot", "rpi"].contains(&boot),
            "boards/{board}: boot: {boot}"
        );
        let rtc = profile["rtc"]["kind"].as_str().unwrap();
        assert!(
            ["none", "no_battery", "battery"].contains(&rtc),
            "boards/{board}: rtc: {rtc}"
        );
    }
}

#[test]
fn every_profile_can_be_built_and_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cross = std::fs::read_to_string(root.join("cross.toml")).unwrap();
    let readme = std::fs::read_to_string(root.join("boards/README.md")).unwrap();
    let profiles = profiles();
    assert!(profiles.len() >= 2, "an x86_64 and an arm64 board at least");
    for (board, profile) in profiles {
        let target = profile["target"].as_str().unwrap();
        assert!(
            cross.contains(&format!("[target.{target}]")),
            "cross.toml lacks {target} of {board}"
        );
        assert!(
            readme.contains(&format!("`{board}`")),
            "boards/README.md does not list {board}"
        );
    }
}
