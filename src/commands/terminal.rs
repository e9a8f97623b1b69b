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
#[cfg(feature = "demo")]
pub(super) fn colours_on_output() -> bool {
    takes_colours(&io::stdout())
}

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

    /// Takes the line away.
    pub(super) fn clear(&mut self) {
        self.write("");
    }

    fn write(&mut self, words: &str) {
        if self.on {
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
