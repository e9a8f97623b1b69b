//! What was scanned and still counts: order, lot, product, operator, purpose, lots of materials. Pure.
//!
//! Read at the start of each operation. An open operation that lacks something learns it within its `late_window`.

use super::scans::Scan;
use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::definition::Definition;
use crate::aggregate::operation::OpenOperation;
use crate::aggregate::saved::{self, Saved};
use crate::aggregate::scan::Meaning;
use crate::model::{Body, BootTime, MaterialReport, Reference, ScanRejection};
use crate::settings::shape::{Purpose, ScanFor, Until};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most materials whose lots are remembered: a machine has a few.
const MAX_MATERIALS: usize = 64;

/// What was scanned and still counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Context {
    order: Option<Scanned<Reference>>,
    lot: Option<Scanned<Reference>>,
    product: Option<Scanned<Reference>>,
    operator: Option<Scanned<Reference>>,
    purpose: Option<Scanned<Purpose>>,
    /// Lot by material.
    materials: BTreeMap<String, Scanned<String>>,
}

/// Something scanned, and how long it counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Scanned<T> {
    what: T,
    until: Until,
    /// When it was scanned; before everything after a restart.
    #[serde(skip, default = "long_ago")]
    at: BootTime,
    /// It came with a part that waits: no operation that was open then learns it.
    #[serde(default)]
    for_the_next: bool,
}

impl<T> Scanned<T> {
    /// An operation that started at `started` may go by it.
    fn counts_for(&self, started: BootTime) -> bool {
        !self.for_the_next || self.at <= started
    }
}

fn counting<T>(place: &Option<Scanned<T>>, started: BootTime) -> Option<&T> {
    let found = place.as_ref().filter(|one| one.counts_for(started));
    found.map(|one| &one.what)
}

/// What was scanned and counts for one operation.
pub(super) struct Counting<'a> {
    pub(super) order: Option<&'a Reference>,
    pub(super) lot: Option<&'a Reference>,
    pub(super) product: Option<&'a Reference>,
    pub(super) operator: Option<&'a Reference>,
}

fn long_ago() -> BootTime {
    BootTime(i64::MIN)
}

impl Context {
    pub(super) fn order(&self) -> Option<&Reference> {
        self.order.as_ref().map(|one| &one.what)
    }

    pub(super) fn lot(&self) -> Option<&Reference> {
        self.lot.as_ref().map(|one| &one.what)
    }

    pub(super) fn product(&self) -> Option<&Reference> {
        self.product.as_ref().map(|one| &one.what)
    }

    pub(super) fn operator(&self) -> Option<&Reference> {
        self.operator.as_ref().map(|one| &one.what)
    }

    pub(super) fn purpose(&self) -> Option<Purpose> {
        self.purpose.as_ref().map(|one| one.what)
    }

    /// The lot of a material.
    pub(super) fn material(&self, id: &str) -> Option<&String> {
        self.materials.get(id).map(|one| &one.what)
    }

    /// What an operation may learn that started at `started`.
    pub(super) fn for_one_of(&self, started: BootTime) -> Counting<'_> {
        Counting {
            order: counting(&self.order, started),
            lot: counting(&self.lot, started),
            product: counting(&self.product, started),
            operator: counting(&self.operator, started),
        }
    }

    /// The part that it was scanned with has its operation: it counts there, whenever that started.
    pub(super) fn comes_with_its_part(&mut self) {
        let places = [
            &mut self.order,
            &mut self.lot,
            &mut self.product,
            &mut self.operator,
        ];
        for one in places.into_iter().flatten() {
            one.for_the_next = false;
        }
    }

    fn place(&mut self, what: ScanFor) -> Option<&mut Option<Scanned<Reference>>> {
        match what {
            ScanFor::Order => Some(&mut self.order),
            ScanFor::Lot => Some(&mut self.lot),
            ScanFor::Product => Some(&mut self.product),
            ScanFor::Operator => Some(&mut self.operator),
            _ => None,
        }
    }

    /// Forgets what `gone` says. True when there was something.
    fn forget(&mut self, gone: impl Fn(Until, BootTime) -> bool) -> bool {
        let before = self.clone();
        let stays = |until: Until, at: BootTime| !gone(until, at);
        for place in [
            &mut self.order,
            &mut self.lot,
            &mut self.product,
            &mut self.operator,
        ] {
            place.take_if(|one| gone(one.until, one.at));
        }
        self.purpose.take_if(|one| gone(one.until, one.at));
        self.materials.retain(|_, one| stays(one.until, one.at));
        *self != before
    }
}

impl Machine {
    /// Something other than a part was scanned. Open operations that lack it learn it, and those that have just ended. Gives
    /// why it came to nothing.
    pub(super) fn context_scanned(
        &mut self,
        scan: &Scan,
        meaning: &Meaning,
        for_the_next: bool,
        moment: &mut Moment<'_>,
    ) -> Option<ScanRejection> {
        self.unsaved = Unsaved::Soon;
        let until = meaning.rule.until;
        match meaning.is {
            ScanFor::Part => {}
            ScanFor::Reason => {
                let told = self.reason_scanned(&meaning.code, moment);
                return (!told).then_some(ScanRejection::NoStop);
            }
            ScanFor::Purpose => {
                self.context.purpose = purpose(meaning).map(|what| Scanned {
                    what,
                    until: until.unwrap_or(Until::NextOperation),
                    at: scan.at.boot,
                    for_the_next,
                });
            }
            ScanFor::Material => self.material_scanned(scan, meaning, moment),
            what => {
                let learnt = Reference {
                    id: meaning.code.clone(),
                    source: "barcode".to_owned(),
                };
                if let Some(place) = self.context.place(what) {
                    *place = Some(Scanned {
                        what: learnt.clone(),
                        until: until.unwrap_or(Until::Replaced),
                        at: scan.at.boot,
                        for_the_next,
                    });
                }
                if !for_the_next {
                    self.late_fact(what, &learnt, scan.at, moment);
                }
                self.learn_facts(moment);
            }
        }
        None
    }

    fn material_scanned(&mut self, scan: &Scan, meaning: &Meaning, moment: &mut Moment<'_>) {
        let Some(material) = meaning.rule.material.clone() else {
            return;
        };
        let loaded = Scanned {
            what: meaning.code.clone(),
            until: meaning.rule.until.unwrap_or(Until::Replaced),
            at: scan.at.boot,
            for_the_next: false,
        };
        let known = self.context.materials.contains_key(&material);
        if !known && self.context.materials.len() >= MAX_MATERIALS {
            return;
        }
        let previous = self.context.materials.insert(material.clone(), loaded);
        let previous = previous.map(|one| one.what);
        if previous.as_ref() == Some(&meaning.code) {
            return;
        }
        self.use_lot(&material, &meaning.code);
        let report = MaterialReport {
            material,
            lot: meaning.code.clone(),
            previous,
            reader: scan.reader.clone(),
            order: self.order_now(),
        };
        let heading = Heading::machine(&self.name, scan.at.utc);
        moment.tell(heading, Body::MaterialLoaded(report));
    }

    /// Open operations use the lot from now on.
    fn use_lot(&mut self, material: &str, lot: &str) {
        for open in self.slots.iter_mut().filter_map(|slot| slot.open.as_mut()) {
            let Some(definition) = self.definitions.get(open.definition_index) else {
                continue;
            };
            let needs = definition.settings.materials.iter().enumerate();
            for (number, _) in needs.filter(|(_, need)| need.id == material && need.lot.is_none()) {
                open.used.lot(number, lot);
            }
        }
    }

    /// An operation was told that started at `started`: what was scanned for it alone is used up.
    pub(super) fn context_used(&mut self, started: BootTime) {
        let used = |until: Until, at: BootTime| until == Until::NextOperation && at <= started;
        if self.context.forget(used) {
            self.unsaved = Unsaved::Soon;
        }
    }

    /// The shift ended: what counts until then does not count any more.
    pub(super) fn context_shift_ended(&mut self, _moment: &mut Moment<'_>) {
        if self.context.forget(|until, _| until == Until::ShiftEnd) {
            self.unsaved = Unsaved::Soon;
        }
    }

    pub(super) fn save_context(&self, into: &mut Saved) {
        if self.context != Context::default() {
            into.put_json(format!("{}/context", self.scope_key()), &self.context);
        }
    }

    pub(super) fn restore_context(&mut self, entries: &super::Entries) {
        let bytes = entries.get(&format!("{}/context", self.scope_key()));
        if let Some(context) = bytes.and_then(|bytes| saved::read_json(bytes)) {
            self.context = context;
        }
    }
}

/// True where something that the operation lacks still belongs to it. Where a reboot hides how long it runs, nothing does.
pub(super) fn in_late_window(
    definition: &Definition,
    operation: &OpenOperation,
    now: BootTime,
) -> bool {
    let window = definition.settings.part.late_window.get();
    !operation.unmeasured && now.since(operation.started.boot) <= window
}

/// What a code means for the next operation: by the rule's words, else by the usual ones; `None` for another word.
pub(super) fn purpose(meaning: &Meaning) -> Option<Purpose> {
    let code = meaning.code.to_ascii_lowercase();
    let words = &meaning.rule.words;
    if !words.is_empty() {
        let named = words
            .iter()
            .find(|(word, _)| word.to_ascii_lowercase() == code);
        return named.map(|(_, purpose)| *purpose);
    }
    Some(match code.replace('-', "_").as_str() {
        "production" => Purpose::Production,
        "setup" => Purpose::Setup,
        "first" | "first_off" => Purpose::FirstOff,
        "rework" => Purpose::Rework,
        "test" => Purpose::Test,
        _ => return None,
    })
}
