//! The layer table and the absences of `ARCHITECTURE.md`, read from the source. A failure says what to do instead.

mod source;

use source::{Source, line_with_word, read_all};
use std::path::Path;

/// What every stage may use: floors 0 and 1.
const BELOW_THE_STAGES: &[&str] = &["model", "settings", "format", "health", "clock", "backoff"];
/// What the gateway joins.
const BELOW_THE_GATEWAY: &[&str] = &[
    "model",
    "settings",
    "format",
    "health",
    "clock",
    "backoff",
    "acquire",
    "aggregate",
    "buffer",
    "deliver",
    "observe",
];

/// The most lines of one file, tests included.
const LONGEST_FILE: usize = 500;
/// Files that start a thread which is no task: it does no work and ends with the value that holds it.
const WATCHING_THREADS: &[(&str, &str)] = &[(
    "buffer/engine/sled/waker.rs",
    "sled forgets to wake a flush whose write failed; only another thread can, and only the engine knows which database",
)];

/// Who may use what. `None`: everything.
fn may_use(module: &str) -> Option<Vec<&'static str>> {
    Some(match module {
        "model" => Vec::new(),
        "settings" | "health" | "clock" | "backoff" => vec!["model"],
        "format" => vec!["model", "settings"],
        "acquire" | "aggregate" | "buffer" | "observe" => BELOW_THE_STAGES.to_vec(),
        "deliver" => [BELOW_THE_STAGES, &["buffer"]].concat(),
        "gateway" => BELOW_THE_GATEWAY.to_vec(),
        "commands" | "main" | "lib" => return None,
        other => panic!(
            "src/{other} stands on no floor: write it into the table of ARCHITECTURE.md and into tests/architecture.rs"
        ),
    })
}

fn sources() -> Vec<Source> {
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

/// Fails with all the faults, or not at all.
fn none(faults: Vec<String>, instead: &str) {
    assert!(faults.is_empty(), "\n{}\n{instead}\n", faults.join("\n"));
}

#[test]
fn dependencies_only_point_down() {
    let sources = sources();
    let modules: Vec<&str> = sources.iter().map(Source::top).collect();
    let mut faults = Vec::new();
    for source in &sources {
        let Some(allowed) = may_use(source.top()) else {
            continue;
        };
        for (line, name) in source.references() {
            let is_module = modules.contains(&name.as_str());
            if is_module && name != source.top() && !allowed.contains(&name.as_str()) {
                faults.push(format!(
                    "src/{}:{line}: {} uses {name}",
                    source.path,
                    source.top()
                ));
            }
        }
    }
    none(
        faults,
        "A stage knows no other stage and nothing knows what stands above it (ARCHITECTURE.md, layers). Move what both need \
         down into model or health, or hand it in as an argument from gateway.",
    );
}

#[test]
fn each_library_is_known_in_one_place() {
    let homes: &[(&str, &[&str])] = &[
        ("sled", &["buffer/engine/", "buffer/store_tests.rs"]),
        ("rumqttc", &["deliver/"]),
        ("reqwest", &["deliver/"]),
        ("tokio_modbus", &["acquire/", "commands/demo/"]),
        ("opcua", &["acquire/", "commands/demo/"]),
        ("x509_cert", &["acquire/opc_ua/", "deliver/way/"]),
        ("rsa", &["acquire/opc_ua/"]),
        ("tokio_serial", &["acquire/"]),
        ("axum", &["commands/demo/"]),
        ("quick_xml", &["format/b2mml/"]),
        ("cel", &["aggregate/"]),
    ];
    let mut faults = Vec::new();
    for source in sources() {
        for (library, homes) in homes {
            if homes.iter().any(|home| source.path.starts_with(home)) {
                continue;
            }
            let path = format!("{library}::");
            if let Some(at) = source.code.match_indices(&path).find(|(at, _)| {
                !source.code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            }) {
                let line = source.code[..at.0].matches('\n').count() + 1;
                faults.push(format!(
                    "src/{}:{line}: {library}, which only {} may know",
                    source.path,
                    homes.join(", ")
                ));
            }
        }
    }
    none(
        faults,
        "Give its home a function or a type of our own instead.",
    );
}

/// The rules, by DESIGN. Beside them, every file whose header says that it is pure is held to its word.
const PURE: &[&str] = &[
    "model/",
    "format/",
    "aggregate/",
    "acquire/modbus/plan.rs",
    "acquire/modbus/registers.rs",
    "buffer/commit.rs",
    "buffer/memory.rs",
    "buffer/record.rs",
    "backoff.rs",
];
/// The one file of aggregation that waits: it hands time into the rules and wakes when they say.
const DRIVER: &str = "aggregate/task.rs";

#[test]
fn rules_have_no_async_no_clock_and_no_files() {
    let mut faults = Vec::new();
    for source in sources() {
        let is_rule = PURE.iter().any(|home| source.path.starts_with(home));
        if source.path == DRIVER || !(is_rule || source.says_that_it_is_pure()) {
            continue;
        }
        // An instant as an argument or a result is no clock; asking for the present is.
        // `Body::Clock(..)` is an event about the clock; the clock itself is made by its functions.
        let code = (source.shipped())
            .replace("use tokio::time::Instant;", "")
            .replace("Clock(", "(");
        for word in [
            "async",
            "await",
            "tokio",
            "SystemTime",
            "Clock",
            "fs",
            "net",
            "thread",
            "stdin",
        ] {
            if let Some(line) = line_with_word(&code, word) {
                faults.push(format!("src/{}:{line}: {word}", source.path));
            }
        }
        if code.contains("Instant::now") {
            faults.push(format!("src/{}: Instant::now", source.path));
        }
    }
    none(
        faults,
        "A rule takes the time as an argument and returns when it wants to be called again; what waits, reads a clock or a \
         file belongs into the task that calls it. That is what makes replay possible.",
    );
}

#[test]
fn only_the_gateway_and_the_demo_start_tasks() {
    let mut faults = Vec::new();
    for source in sources() {
        let watches = WATCHING_THREADS
            .iter()
            .any(|(path, _)| *path == source.path);
        if watches
            || source.path.starts_with("gateway")
            || source.path.starts_with("commands/demo/")
        {
            continue;
        }
        for word in [
            "spawn",
            "spawn_blocking",
            "spawn_local",
            "spawn_scoped",
            "JoinSet",
        ] {
            if let Some(line) = line_with_word(source.shipped(), word) {
                faults.push(format!("src/{}:{line}: {word}", source.path));
            }
        }
    }
    none(
        faults,
        "Offer an `async fn run...` (or a blocking `fn run...`) and let gateway.rs start it.",
    );
}

#[test]
fn no_file_is_longer_than_a_person_reads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    for folder in ["src", "tests", "benches"] {
        if !root.join(folder).is_dir() {
            continue;
        }
        for source in read_all(&root.join(folder)) {
            if source.lines > LONGEST_FILE {
                faults.push(format!(
                    "{folder}/{}: {} lines, at most {LONGEST_FILE}",
                    source.path, source.lines
                ));
            }
        }
    }
    none(
        faults,
        "What second thing has moved in? Give it a file of its own.",
    );
}
