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
    ///
    /// Only what the machine says becomes `unknown:` where it is not listed. The settings and a person's label are in the
    /// MES's words already.
    pub(super) fn reason(&self, native: &str, source: ReasonSource) -> Reason {
        let Some(settings) = &self.settings else {
            return Reason::plain(native, source);
        };
        let listed = settings.codes.get(native);
        let unknown = settings
            .unknown
            .as_ref()
            .filter(|_| source == ReasonSource::Plc && !is_code(settings, native));
        let code = listed.or(unknown).map_or(native, String::as_str);
        Reason {
            native: (code != native).then(|| native.to_owned()),
            catalogue: Some(settings.catalogue.clone()),
            catalogue_version: settings.version.clone(),
            text: settings.texts.get(code).cloned(),
            planned: Some(settings.planned.iter().any(|planned| planned == code)),
            code: code.to_owned(),
            source,
        }
    }

    /// The reason for what a tag of the machine says; nothing where it says zero or nothing, unless that is listed.
    pub(super) fn said(&self, native: &str) -> Option<Reason> {
        let listed = |settings: &Reasons| settings.codes.contains_key(native);
        let counts = !says_nothing(native) || self.settings.as_ref().is_some_and(listed);
        counts.then(|| self.reason(native, ReasonSource::Plc))
    }
}

/// A fault register that is zero, or empty, names no fault.
pub(super) fn says_nothing(native: &str) -> bool {
    matches!(native.trim(), "" | "0" | "false")
}

/// The catalogue itself has it as a code.
fn is_code(settings: &Reasons, word: &str) -> bool {
    settings.codes.values().any(|code| code == word)
        || settings.texts.contains_key(word)
        || settings.planned.iter().any(|code| code == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ReasonSource::{Operator, Plc, Settings};

    fn catalogue() -> Catalogue {
        let pairs = |pairs: &[(&str, &str)]| {
            let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
            pairs.iter().map(owned).collect()
        };
        Catalogue::new(Some(&Reasons {
            catalogue: "acme-downtime".into(),
            version: Some("12".into()),
            codes: pairs(&[("17", "E1042"), ("jam", "E2001")]),
            unknown: Some("E9999".into()),
            texts: pairs(&[("E1042", "Oil too hot"), ("P01", "Lunch")]),
            planned: vec!["P01".into()],
        }))
    }

    #[track_caller]
    fn check(native: &str, source: ReasonSource, code: &str, kept: Option<&str>) -> Reason {
        let reason = catalogue().reason(native, source);
        assert_eq!(reason.code, code, "{native} {source:?}");
        assert_eq!(reason.native.as_deref(), kept, "{native} {source:?}");
        reason
    }

    #[test]
    fn the_machines_number_becomes_the_catalogues_code() {
        let reason = check("17", Plc, "E1042", Some("17"));
        assert_eq!(reason.text.as_deref(), Some("Oil too hot"));
        assert_eq!(reason.planned, Some(false));
        assert_eq!(reason.catalogue_version.as_deref(), Some("12"));
        check("jam", Operator, "E2001", Some("jam"));
    }

    #[test]
    fn only_the_machine_can_say_what_nobody_knows() {
        check("99", Plc, "E9999", Some("99"));
        check("E1042", Plc, "E1042", None);
        check("COFFEE", Operator, "COFFEE", None);
        check("E7", Settings, "E7", None);
        let planned = check("P01", Operator, "P01", None);
        assert_eq!(planned.planned, Some(true));
    }

    #[test]
    fn a_fault_register_that_is_zero_names_no_fault() {
        assert_eq!(catalogue().said("0"), None);
        assert_eq!(Catalogue::default().said("0"), None);
        assert_eq!(Catalogue::default().said(""), None);
        assert_eq!(
            Catalogue::default().said("17"),
            Some(Reason::plain("17", Plc))
        );
    }
}
