//! Writing to the person: colours only on a terminal, and a reader that has gone away is no error.

use super::{Exit, Failure};
use anyhow::Context;
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Writes to standard output.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    written(io::stdout().lock(), text)
}

/// Writes to standard error.
pub(super) fn print_error(text: &str) -> Result<(), Failure> {
    written(io::stderr().lock(), text)
}

/// Whether standard error takes colours.
pub(super) fn colours_on_error() -> bool {
    takes_colours(&io::stderr())
}

/// Whether standard output takes colours.
pub(super) fn colours_on_output() -> bool {
    takes_colours(&io::stdout())
}

/// Width of a terminal that does not tell its own.
const USUAL_COLUMNS: usize = 80;
/// Signs of a progress bar.
const BAR: u64 = 20;

/// One line on standard error that says how far a long work has come; nothing where that is no terminal.
pub(super) struct Progress {
    on: bool,
}

impl Progress {
    /// Shows nothing yet.
    pub(super) fn new() -> Progress {
        Progress {
            on: io::stderr().is_terminal(),
        }
    }

    /// Shows these words instead of those before. The cursor stays at the front: a log line overwrites them.
    pub(super) fn show(&mut self, words: &str) {
        self.write(words);
    }

    /// Shows how much of it is done, and words.
    pub(super) fn show_bar(&mut self, done: u32, all: u32, words: &str) {
        let part = u64::from(done.min(all)) * BAR / u64::from(all.max(1));
        let bar: String = (0..BAR)
            .map(|at| if at < part { '#' } else { '.' })
            .collect();
        let percent = u64::from(done.min(all)) * 100 / u64::from(all.max(1));
        self.write(&format!("[{bar}] {percent:>3} %  {words}"));
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        self.write("");
    }

    fn write(&mut self, words: &str) {
        if self.on {
            // A line that wraps cannot be taken away again.
            let room = terminal_size::terminal_size_of(io::stderr())
                .map_or(USUAL_COLUMNS, |(columns, _)| usize::from(columns.0))
                .saturating_sub(1);
            let words: String = words.chars().take(room).collect();
            let mut to = io::stderr().lock();
            // A terminal that takes nothing any more is not shown anything more.
            self.on = write!(to, "\r{words}\u{1b}[K\r")
                .and_then(|()| to.flush())
                .is_ok();
        }
    }
}

/// A terminal does, unless `NO_COLOR` is set.
fn takes_colours(to: &impl IsTerminal) -> bool {
    to.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}

fn written(mut to: impl Write, text: &str) -> Result<(), Failure> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        // `millgate schema | head`: whoever reads has enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result
            .context("the output cannot be written")
            .map_err(|error| Failure::new(Exit::Io, error)),
    }
}
