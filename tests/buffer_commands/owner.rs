//! Commands that root runs on the store of a gateway that is another user: it must be able to go on.

use super::super::dead_letters::{Gateway, settings};
use super::{buffer, generations, store};
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// Whose the store is: nobody.
const OWNER: u32 = 65_534;

/// Whether the gateway can be run as another user from where it lies.
fn can_run_as_owner() -> bool {
    let mut version = std::process::Command::new(env!("CARGO_BIN_EXE_millgate"));
    let version = version.arg("--version").uid(OWNER).output();
    nix::unistd::geteuid().is_root() && version.is_ok_and(|version| version.status.success())
}

#[test]
fn a_folder_of_another_user_stops_no_start() {
    if !can_run_as_owner() {
        println!(
            "skipped: only root can run the gateway as another user, where that one can read it"
        );
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    let path = home.path().join("state");
    std::fs::create_dir(&path).unwrap();
    store(&path, 40, 25);
    std::fs::create_dir_all(path.join("parked")).unwrap();
    let file = settings(&path, "{ http: { url: \"http://127.0.0.1:1/\" } }", "");
    for path in all(&path) {
        lchown(path, Some(OWNER), Some(OWNER)).unwrap();
    }
    // As where a directory is a disk of its own.
    for place in ["parked", "store"] {
        let foreign = path.join(place).join("lost+found");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::set_permissions(foreign, Permissions::from_mode(0o700)).unwrap();
    }
    Gateway::start_as(&file, OWNER).stop();
}

/// A path and all below it.
fn all(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut index = 0;
    while let Some(path) = found.get(index).cloned() {
        if path.is_dir() && !path.is_symlink() {
            let entries = std::fs::read_dir(path).unwrap();
            found.extend(entries.map(|entry| entry.unwrap().path()));
        }
        index += 1;
    }
    found
}

fn owner_of(path: &Path) -> (u32, u32) {
    let found = std::fs::symlink_metadata(path).unwrap();
    (found.uid(), found.gid())
}

#[test]
fn what_root_repairs_still_belongs_to_the_gateways_user() {
    let home = tempfile::tempdir().unwrap();
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can give a store to another user");
        return;
    }
    let path = home.path().join("state");
    let outside = home.path().join("outside");
    std::fs::write(&outside, b"nothing of the store").unwrap();
    std::fs::create_dir(&path).unwrap();
    store(&path, 40, 25);
    let newest = generations(&path).pop().unwrap();
    std::fs::write(newest.join("db"), []).unwrap();
    for path in all(&path) {
        lchown(path, Some(OWNER), Some(OWNER)).unwrap();
    }
    // What an earlier command left, and what lies elsewhere under another name.
    std::fs::write(path.join("store/ballast"), []).unwrap();
    std::os::unix::fs::symlink(&outside, path.join("store/link")).unwrap();
    std::fs::hard_link(&outside, path.join("store/name")).unwrap();
    buffer("repair", &path, &["--yes"]).says(0, &["a new epoch has begun"]);

    let own = (0, 0);
    for path in all(&path) {
        let ours = ["link", "name"].map(|name| home.path().join("state/store").join(name));
        let expected = if ours.contains(&path) {
            own
        } else {
            (OWNER, OWNER)
        };
        assert_eq!(owner_of(&path), expected, "{}", path.display());
    }
    assert_eq!(owner_of(&outside), own);
    buffer("verify", &path, &[]).says(0, &["good: "]);
    for path in all(&path.join("store")) {
        let name = path.file_name().unwrap();
        assert!(owner_of(&path).0 == OWNER || name == "link" || name == "name");
    }
}
