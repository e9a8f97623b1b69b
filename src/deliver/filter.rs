//! Which events an uplink wants: its `events:` patterns, as far as its format has a form for them. A pure rule, asked once
//! per event.

use super::body::has_form;
use crate::settings::shape::Format;

/// Patterns of event names: `*`, `operation.*` (all names below), `operation.completed`.
#[derive(Clone, Debug)]
pub(super) struct EventFilter {
    patterns: Vec<Pattern>,
    format: Format,
}

#[derive(Clone, Debug)]
enum Pattern {
    All,
    /// Names that begin so; the dot included.
    Below(String),
    Exactly(String),
}

impl EventFilter {
    /// The patterns as written in the settings.
    pub(super) fn new(patterns: &[String]) -> EventFilter {
        let read = |pattern: &String| match pattern.strip_suffix('*') {
            Some("") => Pattern::All,
            Some(above) if above.ends_with('.') => Pattern::Below(above.to_owned()),
            _ => Pattern::Exactly(pattern.clone()),
        };
        EventFilter {
            patterns: patterns.iter().map(read).collect(),
            format: Format::default(),
        }
    }

    /// The same for a destination that gets this format: events without a form in it are for others.
    pub(super) fn in_format(self, format: Format) -> EventFilter {
        EventFilter { format, ..self }
    }

    /// True when the uplink wants events of this name.
    pub(super) fn wants(&self, name: &str) -> bool {
        let matches = |pattern: &Pattern| match pattern {
            Pattern::All => true,
            Pattern::Below(above) => name.starts_with(above.as_str()),
            Pattern::Exactly(exact) => name == exact,
        };
        self.patterns.iter().any(matches) && has_form(self.format, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(patterns: &[&str], wanted: &[&str], unwanted: &[&str]) {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        let filter = EventFilter::new(&patterns);
        for name in wanted {
            assert!(filter.wants(name), "{patterns:?} should want {name}");
        }
        for name in unwanted {
            assert!(!filter.wants(name), "{patterns:?} should not want {name}");
        }
    }

    #[test]
    fn patterns_are_a_name_a_branch_or_everything() {
        check(&["*"], &["operation.completed", "gateway.birth"], &[]);
        check(
            &["operation.*"],
            &["operation.started", "operation.completed"],
            &["operations.x", "operation", "gateway.birth"],
        );
        check(
            &["equipment.*"],
            &["equipment.state.changed", "equipment.downtime.closed"],
            &["production.counted"],
        );
        check(
            &["operation.completed", "gateway.*"],
            &["operation.completed", "gateway.device.state"],
            &["operation.started"],
        );
        check(&[], &[], &["operation.completed"]);
    }

    #[test]
    fn events_without_a_form_are_not_wanted() {
        let filter = EventFilter::new(&["*".to_owned()]).in_format(Format::B2mml);
        assert!(filter.wants("operation.completed"));
        assert!(!filter.wants("gateway.heartbeat"));
    }
}
