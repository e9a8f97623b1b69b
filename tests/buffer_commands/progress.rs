//! The progress bar of long work: on a terminal, on standard error, gone in the end; nothing of it anywhere else.

use super::{buffer, store};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

/// What is shown on a terminal on standard error, and what is written to standard output.
fn on_a_terminal(what: &str, path: &Path) -> (String, String) {
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["buffer", what])
        .arg(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::from(pty.slave))
        .spawn()
        .unwrap();
    let mut terminal = std::fs::File::from(pty.master);
    let shown = std::thread::spawn(move || {
        let mut shown = Vec::new();
        let mut bytes = [0; 4096];
        // With the last process that has the terminal open, reading it ends in an error.
        while let Ok(read @ 1..) = terminal.read(&mut bytes) {
            shown.extend_from_slice(&bytes[..read]);
        }
        String::from_utf8(shown).unwrap()
    });
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    assert!(child.wait().unwrap().success());
    (shown.join().unwrap(), out)
}

#[test]
fn long_work_shows_on_a_terminal_how_far_it_is_and_cleans_up() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 60, 0);
    let generations = super::generations(home.path()).len();
    assert!(generations > 3);
    for (what, words) in [("verify", "good: 60 events"), ("export", "sequence")] {
        let (shown, out) = on_a_terminal(what, home.path());
        // Each line replaces the one before.
        let lines: Vec<&str> = shown.split('\r').filter(|it| it.contains('[')).collect();
        let bars = lines.iter().filter(|it| it.contains(" %  generation "));
        assert!(bars.count() >= generations, "{what}: {shown:?}");
        let first = format!("0 %  generation 1 of {generations}");
        let last = format!("generation {generations} of {generations}");
        assert!(lines.first().unwrap().contains(&first), "{what}: {shown:?}");
        assert!(shown.contains(&last), "{what}: {shown:?}");
        let percent = |line: &&str| -> Option<u32> {
            let (before, _) = line.split_once(" %")?;
            before.rsplit(' ').next()?.parse().ok()
        };
        let percents: Vec<u32> = lines.iter().filter_map(percent).collect();
        assert!(
            percents.is_sorted() && percents.iter().all(|it| *it <= 100),
            "{percents:?}"
        );
        // The last thing about the line is that it goes.
        let bar = shown.rfind(" %  generation ").unwrap();
        assert!(shown[bar..].contains("\r\u{1b}[K\r"), "{what}: {shown:?}");
        assert!(
            out.contains(words) && !out.contains('\u{1b}'),
            "{what}: {out}"
        );
        assert!(!out.contains(" %  generation "), "{what}");
    }
}

#[test]
fn without_a_terminal_it_is_silent() {
    let home = tempfile::tempdir().unwrap();
    store(home.path(), 60, 0);
    let said = buffer("verify", home.path(), &[]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(!said.out.contains(['\u{1b}', '\r', '%']), "{}", said.out);
    let said = buffer("export", home.path(), &[]);
    assert_eq!(
        (said.code, said.err.as_str()),
        (0, "60 events written, 1.1 to 1.60\n")
    );
    assert!(!said.out.contains(['\u{1b}', '\r']), "{}", said.out);
}
