//! What an operation is for, what it makes and what it goes with, by the rules of the settings, compiled. Pure.

use super::change::Watched;
use super::condition::{Allowed, Condition};
use super::definition::{Compiler, Definition, Whence};
use crate::model::Reference;
use crate::settings;
use crate::settings::shape::{self, Origin, Purpose, ScanFor, UnknownProgram};
use indexmap::IndexMap;

/// Where the product comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Products {
    said: Whence,
    by_program: IndexMap<String, String>,
    flags_unknown: bool,
}

impl Products {
    /// The product: by the machine's program where that is listed, else as tag, settings or scan say.
    pub(super) fn reference(
        &self,
        scope: &super::condition::Scope,
        program: Option<&str>,
        scanned: Option<&Reference>,
    ) -> Option<Reference> {
        let listed = program.and_then(|program| self.by_program.get(program));
        let listed = listed.map(|id| Reference {
            id: id.clone(),
            source: "settings".to_owned(),
        });
        listed.or_else(|| self.said.reference(scope, scanned))
    }

    /// The program is known, not listed, and the settings want that to be seen.
    pub(super) fn is_unlisted(&self, program: Option<&str>) -> bool {
        self.flags_unknown && program.is_some_and(|program| !self.by_program.contains_key(program))
    }

    /// What was scanned counts, where nothing else says it.
    pub(super) fn takes_scanned(&self) -> bool {
        self.said.takes_scanned()
    }

    /// The tag that says it.
    pub(super) fn tag(&self) -> Option<usize> {
        self.said.tag()
    }
}

/// One line of `purpose:`.
#[derive(Debug)]
pub(super) struct PurposeRule {
    /// Holds always, when there is none.
    pub(super) condition: Option<Condition>,
    pub(super) is: Purpose,
}

/// What an operation needs that is open while a condition holds.
#[derive(Debug)]
pub(super) struct During {
    /// The tag at whose change the next one begins.
    pub(super) tag: Option<usize>,
    pub(super) watched: Watched,
    /// It holds, and no operation was begun for it: one begins as soon as that is possible.
    pub(super) waits: bool,
}

impl Definition {
    /// What it takes from a scan, where no tag and no setting says it.
    pub(super) fn takes_scanned(&self) -> impl Iterator<Item = ScanFor> {
        let takes = [
            (ScanFor::Order, self.order.takes_scanned()),
            (ScanFor::Lot, self.lot.takes_scanned()),
            (ScanFor::Product, self.product.takes_scanned()),
        ];
        takes
            .into_iter()
            .filter(|(_, takes)| *takes)
            .map(|(what, _)| what)
    }
}

impl Compiler<'_> {
    pub(super) fn during(&self, settings: &shape::Operation) -> Option<During> {
        settings.during.as_ref()?;
        let tag = settings.new_when_changed.as_ref();
        Some(During {
            tag: tag
                .and_then(|name| self.scope.tag(name))
                .map(|(local, _)| local),
            watched: Watched::default(),
            waits: false,
        })
    }

    pub(super) fn products(&self, product: Option<&shape::Product>) -> Products {
        let origin = product.map(|product| Origin {
            tag: product.tag.clone(),
            value: product.value.clone(),
            otherwise: product.otherwise,
        });
        Products {
            said: Whence::compile(origin.as_ref(), self.scope),
            by_program: product.map_or_else(IndexMap::new, |product| product.by_program.clone()),
            flags_unknown: product.and_then(|product| product.unknown)
                == Some(UnknownProgram::Flag),
        }
    }

    pub(super) fn purposes(
        &mut self,
        path: &str,
        rules: &[shape::PurposeRule],
    ) -> Vec<PurposeRule> {
        let allowed = Allowed {
            pulses: false,
            ..Allowed::ALL
        };
        let mut compiled = Vec::new();
        for (i, rule) in rules.iter().enumerate() {
            let at = format!("{path}.purpose.{i}.when");
            let condition = match &rule.when {
                None => None,
                Some(cel) => match self.condition(&at, cel, allowed) {
                    Some(condition) => Some(condition),
                    None => continue,
                },
            };
            compiled.push(PurposeRule {
                condition,
                is: rule.is,
            });
        }
        compiled
    }

    /// The local number of a tag.
    pub(super) fn local(&self, tag: Option<&str>) -> Option<usize> {
        Some(self.scope.tag(tag?)?.0)
    }

    /// The tags of the lots of its materials, and which material.
    pub(super) fn lots(&self, settings: &shape::Operation) -> Vec<(usize, usize)> {
        let needs = settings.materials.iter().enumerate();
        let tag = |need: &shape::MaterialNeed| {
            let lot = need.lot.as_ref()?;
            self.local(Some(&lot.tag))
        };
        needs
            .filter_map(|(number, need)| Some((tag(need)?, number)))
            .collect()
    }

    /// A tag says the part, or a reader of this machine, or one of another that serves this machine, too.
    pub(super) fn part_expected(&self, settings: &shape::Operation) -> bool {
        let own = &self.machine.name;
        let serves = |reader: &settings::Machine, rule: &shape::ScanRule| match &rule.machine {
            Some(machine) => machine == own,
            None => {
                let names_one = |pattern: &String| pattern.contains("(?<machine>");
                reader.name == *own || rule.pattern.as_ref().is_some_and(names_one)
            }
        };
        let is_part = |rule: &shape::ScanRule| {
            rule.is == shape::ScanFor::Part
                && rule.slot.as_ref().is_none_or(|slot| *slot == settings.slot)
        };
        let scanned = self.plant.machines.iter().any(|reader| {
            let mut rules = reader.scans.values().flatten();
            rules.any(|rule| is_part(rule) && serves(reader, rule))
        });
        settings.part.tag.is_some() || scanned
    }
}
