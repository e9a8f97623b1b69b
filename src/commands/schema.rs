//! `millgate schema`: the JSON Schema of the settings, generated from the structs that read them.

use super::{Exit, Failure, terminal};
use crate::settings;

/// Print the JSON Schema of the settings, for editors.
#[derive(Debug, clap::Args)]
pub struct Schema {}

impl Schema {
    pub(super) fn run(self) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(settings::schema())
            .map_err(|error| Failure::new(Exit::Software, error))?;
        terminal::print(&format!("{text}\n"))
    }
}
