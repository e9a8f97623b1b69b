//! Which events an uplink wants: its `events:` patterns. A pure rule, asked once per event.

/// Patterns of event names: `*`, `operation.*` (all names below), `operation.completed`.
#[derive(Clone, Debug)]
pub(super) struct EventFilter(Vec<Pattern>);

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
        EventFilter(
            patterns
                .iter()
                .map(|pattern| match pattern.strip_suffix('*') {
                    Some("") => Pattern::All,
                    Some(above) if above.ends_with('.') => Pattern::Below(above.to_owned()),
                    _ => Pattern::Exactly(pattern.clone()),
                })
                .collect(),
        )
    }

    /// True when the uplink wants events of this name.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::All => true,
            Pattern::Below(above) => name.starts_with(above.as_str()),
            Pattern::Exactly(exact) => name == exact,
        })
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
}
