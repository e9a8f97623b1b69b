//! What the README shows is true: its settings are accepted, its files exist.

use std::path::Path;
use std::process::Command;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_settings_in_the_readme_are_accepted() {
    let readme = readme();
    let examples: Vec<&str> = readme
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(!examples.is_empty());
    let folder = tempfile::tempdir().unwrap();
    for example in examples {
        let file = folder.path().join("gateway.yaml");
        std::fs::write(&file, example).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
            .arg("check")
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = said + &String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "millgate check: {}\n{said}",
            output.status
        );
    }
}

#[test]
fn every_file_that_the_documents_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let architecture = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    for document in [readme(), architecture] {
        for name in document.split('`').skip(1).step_by(2) {
            let ours = ["tests/", "boards/", "systemd/", "examples/", ".ci/"];
            let plain = name.split_whitespace().next().unwrap_or_default();
            if ours.iter().any(|folder| plain.starts_with(folder)) {
                assert!(
                    root.join(plain).exists(),
                    "`{name}` is named and does not exist"
                );
            }
        }
    }
}
