//! `millgate deliver`: talks to a destination of the settings itself, on a connection of its own.
//!
//! `test` sends a marked event, made by `sample`, and `attempt` explains each step of its way in words; `resend`
//! sends again what was delivered and `kept` still holds, within the `share` of the uplink's rate limit.

mod attempt;
mod kept;
mod pace;
mod resend;
mod sample;
mod sending;
mod share;
mod test;

use super::buffer::quietly;
use super::{Exit, Failure, load_settings};
use crate::settings::{Plant, Uplink};
use anyhow::anyhow;
use std::path::{Path, PathBuf};

/// Talk to a destination: try it, or send delivered events again.
#[derive(Debug, clap::Args)]
pub struct Deliver {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Send one event that is marked as a test, and explain the answer in words.
    Test(test::Test),
    /// Send delivered events again, with the ids they have, as far as `buffer.keep_delivered` still has them.
    Resend(resend::Resend),
}

impl Deliver {
    pub(super) fn run(self) -> Result<(), Failure> {
        quietly(|| match self.what {
            What::Test(test) => test.run(),
            What::Resend(resend) => resend.run(),
        })
    }
}

/// The arguments that say which destination.
#[derive(Clone, Debug, clap::Args)]
struct Whither {
    /// The settings file.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/millgate/gateway.yaml"
    )]
    config: PathBuf,
    /// The uplink, by its name in the settings; may be left out where there is only one.
    #[arg(long, value_name = "NAME")]
    uplink: Option<String>,
}

impl Whither {
    /// The settings, and the uplink among them.
    fn find(&self) -> Result<(Plant, Uplink), Failure> {
        let plant = load_settings(&self.config)?.plant;
        let uplink = match (&self.uplink, plant.uplinks.as_slice()) {
            (None, [only]) => only.clone(),
            (wanted, all) => {
                let named = |it: &&Uplink| wanted.as_ref().is_some_and(|name| *name == it.name);
                let found = all.iter().find(named);
                found
                    .ok_or_else(|| unknown(&self.config, wanted.as_deref(), all))?
                    .clone()
            }
        };
        Ok((plant, uplink))
    }
}

fn unknown(config: &Path, wanted: Option<&str>, all: &[Uplink]) -> Failure {
    let names: Vec<&str> = all.iter().map(|uplink| uplink.name.as_str()).collect();
    let known = match names.as_slice() {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    let error = match wanted {
        Some(name) => anyhow!(
            "{} has no uplink `{name}`; it has {known}",
            config.display()
        ),
        None => anyhow!(
            "which uplink? --uplink NAME; {} has {known}",
            config.display()
        ),
    };
    Failure::new(Exit::Usage, error)
}
