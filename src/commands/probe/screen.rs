//! A live table: each frame in the place of the one before on a terminal, one below the other elsewhere.

use crate::commands::{Failure, terminal};
use std::io::{self, IsTerminal};

/// Height where the terminal does not tell its own.
const USUAL_ROWS: usize = 24;

/// The cursor goes, the screen is cleared; and back.
const ENTER: &str = "\u{1b}[?25l\u{1b}[2J";
const LEAVE: &str = "\u{1b}[?25h";

/// Where frames are shown.
pub(super) struct Screen {
    live: bool,
    entered: bool,
}

impl Screen {
    /// Live where it is wished and standard output is a terminal.
    pub(super) fn new(wished: bool) -> Screen {
        Screen {
            live: wished && io::stdout().is_terminal(),
            entered: false,
        }
    }

    /// Shows a frame.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn show(&mut self, frame: &str) -> Result<(), Failure> {
        if !self.live {
            return terminal::print(&format!("{frame}\n"));
        }
        let rows =
            terminal_size::terminal_size().map_or(USUAL_ROWS, |(_, rows)| usize::from(rows.0));
        let enter = if std::mem::replace(&mut self.entered, true) {
            ""
        } else {
            ENTER
        };
        terminal::print(&format!("{enter}{}", placed(frame, rows)))
    }

    /// Gives the terminal back, the last frame stays.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(super) fn leave(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.entered) {
            return terminal::print(LEAVE);
        }
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that takes nothing any more needs no cursor.
        drop(self.leave());
    }
}

/// The frame from the upper left corner on, cut to the height, with what was there before taken away.
fn placed(frame: &str, rows: usize) -> String {
    const FROM_THE_CORNER: &str = "\u{1b}[H";
    const TO_THE_LINES_END: &str = "\u{1b}[K\r\n";
    const TO_THE_END: &str = "\u{1b}[J";
    let lines: Vec<&str> = frame.lines().collect();
    let room = rows.saturating_sub(2).max(1);
    let shown = lines.len().min(room);
    let mut text = FROM_THE_CORNER.to_owned();
    for line in lines.iter().take(shown) {
        text += line;
        text += TO_THE_LINES_END;
    }
    if let Some(hidden) = lines.len().checked_sub(shown).filter(|hidden| *hidden > 0) {
        text += &format!("... {hidden} more lines: ask for fewer addresses{TO_THE_LINES_END}");
    }
    text + TO_THE_END
}

#[cfg(test)]
mod tests {
    use super::placed;

    #[test]
    fn a_frame_never_scrolls_the_screen() {
        let frame = "line\n".repeat(50);
        let text = placed(&frame, 24);
        assert!(text.matches("\r\n").count() < 24);
        assert!(text.contains("... 28 more lines"));
        assert!(!placed("one\ntwo\n", 24).contains("more lines"));
        assert_eq!(placed("one\n", 24), "\u{1b}[Hone\u{1b}[K\r\n\u{1b}[J");
    }
}
