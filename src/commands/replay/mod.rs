//! `millgate replay`: runs the aggregation on a capture in virtual time and prints the events as JSON Lines.
//!
//! The same rules as in the running gateway, a clock that stands still between two lines, and no disk: the same input
//! gives the same bytes.

mod capture;
mod player;

use crate::settings::{Plant, Problem};
use capture::Capture;
use player::Player;
use std::io::{self, Write};

/// Why a capture could not be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The capture is wrong: `line N: what`.
    #[error("the capture: {0}")]
    Capture(String),
    /// The conditions of the settings are wrong.
    #[error("the settings have problems")]
    Settings(Vec<Problem>),
    /// The output cannot be written.
    #[error("writing the events")]
    Output(#[from] io::Error),
}

/// Plays `capture` with the machines of `plant`; each event is one line of JSON, printed when its batch commits.
/// With `explain`, each is also told in words to that.
///
/// # Errors
/// See [`ReplayError`].
pub fn replay<'a>(
    plant: &'a Plant,
    capture: &str,
    out: impl Write,
    explain: Option<&'a mut dyn Write>,
) -> Result<(), ReplayError> {
    let capture = Capture::read(capture, plant).map_err(ReplayError::Capture)?;
    let player = Player::new(plant, capture.start, out, explain).map_err(ReplayError::Settings)?;
    Ok(player.play(capture)?)
}
