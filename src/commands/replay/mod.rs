//! `millgate replay`: runs the aggregation on a capture in virtual time and prints the events as JSON Lines.
//!
//! The same rules as in the running gateway, a clock that stands still between two lines, and no disk: the same input
//! gives the same bytes.

pub(super) mod capture;
mod explainer;
pub(super) mod names;
mod player;

use super::{Exit, Failure, load_settings};
use crate::settings::{Plant, Problem};
use anyhow::Context;
use capture::{Capture, settings_named};
pub use explainer::Explainer;
use player::Player;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Largest capture: it is read whole.
pub(super) const MAX_CAPTURE_BYTES: u64 = 1 << 30;

/// Run the aggregation on a capture in virtual time and print the events as JSON Lines.
#[derive(Debug, clap::Args)]
pub struct Replay {
    /// The settings file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The capture: JSON Lines.
    #[arg(value_name = "CAPTURE")]
    capture: PathBuf,
    /// Tell on standard error why each event came and what kept others from coming: the samples, the parts of the conditions,
    /// and at the end what each operation came to.
    #[arg(long)]
    explain: bool,
    /// Explain as JSON Lines instead of words.
    #[arg(long, requires = "explain")]
    json: bool,
}

impl Replay {
    pub(super) fn run(self) -> Result<(), Failure> {
        let loaded = load_settings(&self.file)?;
        let capture = self
            .read()
            .map_err(|error| Failure::new(Exit::NoInput, error))?;
        let others = self.others(&capture)?;
        let mut out = BufWriter::new(io::stdout().lock());
        let mut words = io::stderr();
        let explain = self.explain.then_some(Explainer {
            to: &mut words,
            json: self.json,
        });
        let played = replay_with(&loaded.plant, &others, &capture, &mut out, explain)
            .and_then(|()| out.flush().map_err(ReplayError::Output));
        match played {
            // Whoever reads has seen enough.
            Err(ReplayError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error @ ReplayError::Output(_)) => Err(Failure::new(Exit::Io, error)),
            Err(error @ ReplayError::Settings(_)) => Err(Failure::new(Exit::Config, error)),
            Err(error @ ReplayError::Capture(_)) => Err(Failure::new(Exit::Data, error)),
            Ok(()) => Ok(()),
        }
    }

    /// The settings files that the capture names, beside it.
    fn others(&self, capture: &str) -> Result<Vec<(String, Plant)>, Failure> {
        let folder = self.capture.parent().unwrap_or_else(|| Path::new("."));
        let named = settings_named(capture).into_iter();
        named
            .map(|name| {
                let loaded = load_settings(&folder.join(&name))?;
                Ok((name, loaded.plant))
            })
            .collect()
    }

    fn read(&self) -> anyhow::Result<String> {
        let context = || format!("the capture {} cannot be read", self.capture.display());
        let bytes = fs::metadata(&self.capture).with_context(context)?.len();
        anyhow::ensure!(
            bytes <= MAX_CAPTURE_BYTES,
            "the capture is larger than 1 GiB"
        );
        fs::read_to_string(&self.capture).with_context(context)
    }
}

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
/// With `explain`, why each came is told there.
///
/// # Errors
/// See [`ReplayError`].
pub fn replay<'a>(
    plant: &'a Plant,
    capture: &str,
    out: impl Write,
    explain: Option<Explainer<'a>>,
) -> Result<(), ReplayError> {
    replay_with(plant, &[], capture, out, explain)
}

/// [`replay`] of a capture in which the gateway is reloaded: `others` are the settings by the names that it gives them.
///
/// # Errors
/// See [`ReplayError`].
pub fn replay_with<'a>(
    plant: &'a Plant,
    others: &'a [(String, Plant)],
    capture: &str,
    out: impl Write,
    explain: Option<Explainer<'a>>,
) -> Result<(), ReplayError> {
    let capture = Capture::read(capture, plant, others).map_err(ReplayError::Capture)?;
    for (_, other) in others {
        let problems = crate::aggregate::check(other);
        if !problems.is_empty() {
            return Err(ReplayError::Settings(problems));
        }
    }
    let player =
        Player::new(plant, others, capture.start, out, explain).map_err(ReplayError::Settings)?;
    Ok(player.play(capture)?)
}
