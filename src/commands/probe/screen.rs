//! A live table: each frame in the place of the one before on a terminal, one below the other elsewhere.

use crate::commands::{Failure, terminal};
use std::io::{self, IsTerminal};

/// Height and width where the terminal does not tell its own.
const USUAL_ROWS: usize = 24;
const USUAL_COLUMNS: usize = 80;

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
        let (columns, rows) = terminal_size::terminal_size()
            .map_or((USUAL_COLUMNS, USUAL_ROWS), |(columns, rows)| {
                (usize::from(columns.0), usize::from(rows.0))
            });
        let enter = if std::mem::replace(&mut self.entered, true) {
            ""
        } else {
            ENTER
        };
        terminal::print(&format!("{enter}{}", placed(frame, columns, rows)))
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

/// The frame from the upper left corner on, cut to width and height, with what was there before taken away.
fn placed(frame: &str, columns: usize, rows: usize) -> String {
    const FROM_THE_CORNER: &str = "\u{1b}[H";
    const TO_THE_LINES_END: &str = "\u{1b}[K\r\n";
    const TO_THE_END: &str = "\u{1b}[J";
    let lines: Vec<&str> = frame.lines().collect();
    let room = rows.saturating_sub(2).max(1);
    let shown = lines.len().min(room);
    let mut text = FROM_THE_CORNER.to_owned();
    for line in lines.iter().take(shown) {
        text += &cut(line, columns);
        text += TO_THE_LINES_END;
    }
    if let Some(hidden) = lines.len().checked_sub(shown).filter(|hidden| *hidden > 0) {
        let more = format!("... {hidden} more lines: ask for fewer addresses");
        text += &cut(&more, columns);
        text += TO_THE_LINES_END;
    }
    text + TO_THE_END
}

/// So much of the line as one row takes; colours take no room, and are put back where they are cut.
fn cut(line: &str, columns: usize) -> String {
    const PLAIN: &str = "\u{1b}[0m";
    let mut text = String::with_capacity(line.len());
    let (mut room, mut colour) = (columns, false);
    for sign in line.chars() {
        match (colour, sign) {
            (false, '\u{1b}') => colour = true,
            (true, 'm') => colour = false,
            (true, _) => {}
            (false, _) if room == 0 => return text + PLAIN,
            (false, _) => room -= 1,
        }
        text.push(sign);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{cut, placed};

    #[test]
    fn a_frame_never_scrolls_the_screen() {
        let frame = "line\n".repeat(50);
        let text = placed(&frame, 80, 24);
        assert!(text.matches("\r\n").count() < 24);
        assert!(text.contains("... 28 more lines"));
        assert!(!placed("one\ntwo\n", 80, 24).contains("more lines"));
        assert_eq!(placed("one\n", 80, 24), "\u{1b}[Hone\u{1b}[K\r\n\u{1b}[J");
    }
    #[test]
    fn a_line_wider_than_the_screen_is_cut_and_its_colour_with_it() {
        assert_eq!(cut("0123456789", 10), "0123456789");
        assert_eq!(cut("0123456789", 4), "0123\u{1b}[0m");
        let lit = "ab\u{1b}[33mcdef\u{1b}[0m";
        assert_eq!(cut(lit, 6), lit);
        assert_eq!(cut(lit, 4), "ab\u{1b}[33mcd\u{1b}[0m");
        assert_eq!(cut("äöü", 2), "äö\u{1b}[0m");
    }
}
