//! `millgate check` and `millgate schema` as an integrator meets them: exit codes, places, nothing secret repeated.

use millgate::{aggregate, settings};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PRESS: &str = include_str!("../examples/press.yaml");

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}

fn millgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(arguments)
        .env_remove("CREDENTIALS_DIRECTORY")
        .output()
        .expect("the binary runs")
}

/// Checks a file of these bytes: exit code and what is said on standard error.
fn check(bytes: &[u8]) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.yaml");
    std::fs::write(&file, bytes).unwrap();
    let output = millgate(&["check", file.to_str().unwrap()]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let told = String::from_utf8(output.stderr).unwrap();
    (
        output.status.code(),
        told.replace(directory.path().to_str().unwrap(), "DIR"),
    )
}

fn with(from: &str, to: &str) -> Vec<u8> {
    assert!(PRESS.contains(from), "{from}");
    PRESS.replacen(from, to, 1).into_bytes()
}

#[test]
fn every_bad_input_exits_78_with_a_place() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for at in 1..40 {
        let before = vec![format!("*a{}", at - 1); 9].join(", ");
        bomb.push_str(&format!("a{at}: &a{at} [{before}]\n"));
    }
    let second_device = "  drive:\n    modbus_tcp: { host: 127.0.0.2 }\n    addresses: zero_based\n    tags: { oil: { holding: 7 } }\n\nequipment:";
    let mut latin = with("Everything", "Alles f");
    latin.insert(PRESS.find("Everything").unwrap() + 7, 0xfc);
    let table: Vec<(&str, Vec<u8>, &str, &str)> = vec![
        (
            "unknown key",
            with("length: 16", "lenght: 16"),
            ":26:44: error: `lenght` is not a key of `order_no`",
            "did you mean `length`?",
        ),
        (
            "duplicate key",
            with("machine: PRESS-12", "machine: PRESS-12\nmachine: PRESS-13"),
            ":13:1: error: `machine` stands here a second time",
            "in line 12",
        ),
        (
            "wrong type",
            with("port: 5020", "port: plc"),
            ":16:42: error: `plc` is not a whole number",
            "^^^",
        ),
        (
            "out of range",
            with("unit: 1,", "unit: 300,"),
            ": error: `300` is out of range: `unit` is 0 to 255",
            "^^^",
        ),
        (
            "unknown tag in a condition",
            with("bit(status, 6)", "bit(statsu, 6)"),
            ":54:20: error: ",
            "status",
        ),
        (
            "two tags of one name",
            with("equipment:", second_device),
            ":35:13: error: `oil` is already a tag of `plc`, in line 30",
            "",
        ),
        (
            "overlong file",
            [PRESS.as_bytes(), &vec![b'#'; 1 << 20]].concat(),
            ":1:1: error: the file is longer than 1048576 bytes",
            "",
        ),
        (
            "not UTF-8",
            latin,
            ":6:10: error: the byte 0xFC is not UTF-8",
            "save the file as UTF-8",
        ),
        (
            "anchor bomb",
            bomb.into_bytes(),
            ":1:9: error: `&` marks something to be repeated elsewhere",
            "",
        ),
        (
            "deep nesting",
            [b"a: ".as_slice(), &[b'['; 10_000]].concat(),
            "nested deeper than 16 levels",
            "",
        ),
        (
            "empty file",
            Vec::new(),
            ":1:1: error: the file is empty",
            "",
        ),
        ("zero bytes", vec![0; 4096], "error: this is not YAML", ""),
    ];
    for (what, bytes, place, says) in table {
        let (code, told) = check(&bytes);
        assert_eq!(code, Some(78), "{what}: {told}");
        assert!(
            told.contains(place) && told.contains(says),
            "{what}: {told}"
        );
        assert!(told.contains("DIR/gateway.yaml:"), "{what}: {told}");
        assert!(
            !told.contains("panicked") && !told.contains('\u{1b}'),
            "{what}: {told}"
        );
    }
}

#[test]
fn problems_of_keys_references_and_conditions_are_told_at_once() {
    let text = PRESS
        .replace("scale: 0.1", "scael: 0.1")
        .replace("recovery_counter: strokes", "recovery_counter: stroeks")
        .replace("ram > 780.0", "ramm > 780.0");
    let (code, told) = check(text.as_bytes());
    assert_eq!(code, Some(78));
    for word in [
        "did you mean `scale`?",
        "did you mean `strokes`?",
        "ramm",
        ": 3 problems",
    ] {
        assert!(told.contains(word), "{word} is not in\n{told}");
    }
}

#[test]
fn the_examples_are_good() {
    // What only the box has, and what is always said of a broker.
    let expected = [
        "is not on this machine",
        "systemd provides it",
        "`millgate opcua keygen` makes one",
        "the broker's business",
        "an MQTT 5 broker says so (0x10)",
    ];
    for path in examples() {
        let output = millgate(&["check", path.to_str().unwrap()]);
        let said = String::from_utf8(output.stdout).unwrap();
        let warned = String::from_utf8_lossy(&output.stderr).into_owned();
        for warning in warned.lines().filter(|line| line.contains(": warning: ")) {
            assert!(
                expected.iter().any(|word| warning.contains(word)),
                "{warning}"
            );
        }
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            said.contains(": good: ") && said.contains("sha256:"),
            "{said}"
        );
    }
}

/// All settings in `examples/`.
fn examples() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(example("")).unwrap();
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .collect();
    found.sort();
    assert!(found.len() >= 7, "{found:?}");
    found
}

#[test]
fn effective_settings_have_the_same_digest() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("effective.yaml");
    // Bodies of requests lie beside the settings.
    let templates = example("templates");
    std::fs::create_dir(directory.path().join("templates")).unwrap();
    for template in std::fs::read_dir(&templates).unwrap() {
        let name = template.unwrap().file_name();
        let to = directory.path().join("templates").join(&name);
        std::fs::copy(Path::new(&templates).join(&name), to).unwrap();
    }
    let digest = |path: &Path| {
        let output = millgate(&["check", "--json", path.to_str().unwrap()]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["good"], true, "{report}");
        report["digest"].clone()
    };
    for path in examples() {
        let output = millgate(&["check", "--effective", path.to_str().unwrap()]);
        std::fs::write(&file, &output.stdout).unwrap();
        assert_eq!(digest(&file), digest(&path), "{}", path.display());
    }
}

#[test]
fn json_has_the_same_problems_and_the_same_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.yaml");
    std::fs::write(&file, with("length: 16", "lenght: 16")).unwrap();
    let output = millgate(&["check", "--json", file.to_str().unwrap()]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(78));
    let problem = &report["problems"][0];
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&26.into(), &44.into())
    );
    assert_eq!(problem["path"], "devices.plc.tags.order_no.lenght");
    assert_eq!(problem["suggestion"], "length");
}

#[test]
fn the_schema_takes_the_examples() {
    let output = millgate(&["schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    for path in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let settings: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let problem = validator.validate(&settings).err();
        assert!(problem.is_none(), "{} {problem:?}", path.display());
    }
    let shop = std::fs::read_to_string(example("press-shop.yaml")).unwrap();
    for (from, to) in [
        ("base: \"{base}\"", "base: \"none\""),
        ("is: RUNNING", "is: RUNING"),
        (
            "{ template: press, host: 192.168.41.11",
            "{ temple: press, host: 192.168.41.11",
        ),
    ] {
        assert!(shop.contains(from), "{from}");
        let wrong: serde_json::Value = serde_saphyr::from_str(&shop.replace(from, to)).unwrap();
        assert!(!validator.is_valid(&wrong), "{to}");
    }
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
}

#[test]
fn wrong_usage_is_64_and_a_file_that_is_not_there_66() {
    assert_eq!(millgate(&[]).status.code(), Some(64));
    assert_eq!(millgate(&["chekc"]).status.code(), Some(64));
    assert_eq!(millgate(&["check"]).status.code(), Some(64));
    assert_eq!(millgate(&["--help"]).status.code(), Some(0));
    assert_eq!(millgate(&["--version"]).status.code(), Some(0));
    let output = millgate(&["check", "/no/such/gateway.yaml"]);
    assert_eq!(output.status.code(), Some(66));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("/no/such/gateway.yaml") && !told.contains("panicked"),
        "{told}"
    );
}

#[test]
fn a_demo_that_cannot_be_meant_is_refused_before_it_begins() {
    for wrong in [
        ["--for", "0s"],
        ["--for", "1s"],
        ["--mqtt", "http://127.0.0.1"],
        ["--mqtt", "mqtts://127.0.0.1"],
    ] {
        let output = millgate(&[&["demo"], &wrong[..]].concat());
        assert_eq!(output.status.code(), Some(64), "{wrong:?}");
        assert!(output.stdout.is_empty(), "{wrong:?}");
    }
}

#[test]
fn a_store_path_that_is_a_file_is_told_once() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.yaml");
    let in_the_way = directory.path().join("afile");
    std::fs::write(&in_the_way, b"x").unwrap();
    let text = with(
        "path: /var/lib/millgate",
        &format!("path: {}", in_the_way.display()),
    );
    std::fs::write(&file, text).unwrap();
    let output = millgate(&["run", "--config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(74));
    let told = String::from_utf8(output.stderr).unwrap();
    let says = format!(
        "millgate: {} is a file where `buffer.path` needs",
        in_the_way.display()
    );
    assert!(told.starts_with(&says), "{told}");
    assert!(!told.contains("os error"), "{told}");
}

#[test]
fn a_secret_that_stands_in_the_file_is_not_repeated() {
    let text = with("version: 5", "user: { name: gw, password: canary-4711 }");
    for arguments in [
        vec!["check"],
        vec!["check", "--json"],
        vec!["check", "--effective"],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gateway.yaml");
        std::fs::write(&file, &text).unwrap();
        let output = millgate(&[arguments, vec![file.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(78));
        let all = [output.stdout, output.stderr].concat();
        let all = String::from_utf8(all).unwrap();
        assert!(
            all.contains("a secret never stands in this file") && !all.contains("canary"),
            "{all}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A condition in a plant with holes in it must not bring anything down. A failure prints its seed.
    #[test]
    fn conditions_in_a_damaged_file_are_problems_not_panics(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..20, prop::sample::select(vec![
                "", "\"", "when", "(", ")", " && ", "status", "pressure", "order_no", "1.5", "delta(", "state", "[", "x",
            ])),
            1..4,
        ),
    ) {
        let mut letters: Vec<char> = PRESS.chars().collect();
        for (at, cut, put) in changes {
            let at = at.index(letters.len());
            let end = (at + cut).min(letters.len());
            letters.splice(at..end, put.chars());
        }
        let text: String = letters.into_iter().collect();
        if let Err(problems) = settings::load_with(&text, aggregate::check) {
            prop_assert!(!problems.list.is_empty());
        }
    }
}
