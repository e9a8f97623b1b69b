//! What is known about an operation besides its measurements: order, product, lot, program, operator, purpose, parts. Pure.

use super::context::in_late_window;
use super::{Machine, Moment};
use crate::aggregate::condition::Known;
use crate::aggregate::definition::Definition;
use crate::aggregate::operation::Facts;
use crate::model::{Flag, Reference};
use crate::settings::shape::Purpose;

impl Machine {
    /// The order that is worked on: that of the open operations where they agree, else what the settings say now.
    pub(super) fn order_now(&self) -> Option<Reference> {
        match self.open_fact(|facts| &facts.order) {
            Some(order) => order.cloned(),
            None => {
                let definition = self.definitions.iter().find(|one| !one.retired)?;
                let scanned = self.context.order();
                definition.order.reference(&self.scope, scanned)
            }
        }
    }

    /// Something of the open operations: `None` without one, `Some(None)` where they do not agree.
    pub(super) fn open_fact<'m>(
        &'m self,
        what: impl Fn(&'m Facts) -> &'m Option<Reference>,
    ) -> Option<Option<&'m Reference>> {
        let mut open = self.slots.iter().filter_map(|slot| slot.open.as_ref());
        let first = what(&open.next()?.facts);
        let agree = open.all(|other| what(&other.facts) == first);
        Some(first.as_ref().filter(|_| agree))
    }

    /// The product that is worked on, in the same way.
    pub(super) fn product_now(&self) -> Option<Reference> {
        match self.open_fact(|facts| &facts.product) {
            Some(product) => product.cloned(),
            None => {
                let definition = self.definitions.iter().find(|one| !one.retired)?;
                let program = self.program(definition);
                self.product(definition, program.as_ref())
            }
        }
    }

    /// What is read at the start edge.
    pub(super) fn facts(&self, definition: &Definition, moment: &Moment<'_>) -> Facts {
        let scope = &self.scope;
        let program = self.program(definition);
        Facts {
            segment: definition
                .segment
                .as_ref()
                .and_then(|fact| fact.text(scope)),
            order: definition.order.reference(scope, self.context.order()),
            product: self.product(definition, program.as_ref()),
            lot: definition.lot.reference(scope, self.context.lot()),
            operator: definition
                .operator
                .reference(scope, self.context.operator()),
            program,
            purpose: self.purpose(definition, moment),
            shift: self.shifts.name(),
            mode_at_start: Some(self.mode()),
            parts: self.parts_at_start(definition, moment),
        }
    }

    fn program(&self, definition: &Definition) -> Option<Reference> {
        let program = definition.program.as_ref();
        program.and_then(|fact| fact.reference(&self.scope))
    }

    fn product(&self, definition: &Definition, program: Option<&Reference>) -> Option<Reference> {
        let program = program.map(|program| program.id.as_str());
        let scanned = self.context.product();
        definition.product.reference(&self.scope, program, scanned)
    }

    /// What was scanned, else the first rule that holds. A rule of which that is not known does not.
    fn purpose(&self, definition: &Definition, moment: &Moment<'_>) -> Purpose {
        let holds = |condition| moment.evaluate(condition, &self.scope) == Known::True;
        let mut rules = definition.purpose.iter();
        let found = rules.find(|rule| rule.condition.as_ref().is_none_or(holds));
        let scanned = self.context.purpose();
        scanned
            .or_else(|| found.map(|rule| rule.is))
            .unwrap_or_default()
    }

    /// Order, product, lot, operator or program that an open operation did not know at its start and that are known now, within its
    /// `late_window`. Called in each instant in which something changed; whoever scans one calls it, too.
    pub(super) fn learn_facts(&mut self, moment: &mut Moment<'_>) {
        for slot in 0..self.slots.len() {
            if self.learn(slot, moment) == Some(true) {
                self.tell_identified(slot, moment.now.utc, None, moment);
            }
        }
    }

    /// True when something was learnt.
    fn learn(&mut self, slot: usize, moment: &Moment<'_>) -> Option<bool> {
        let open = self.slots.get(slot)?.open.as_ref()?;
        let definition = self.definitions.get(open.definition_index)?;
        let in_time = in_late_window(definition, open, moment.now.boot);
        if !in_time || open.is_over() || open.is_undecided() {
            return None;
        }
        let known = &open.facts;
        let scope = &self.scope;
        let scanned = self.context.for_one_of(open.started.boot);
        let program = missing(&known.program, || self.program(definition));
        let order = missing(&known.order, || {
            definition.order.reference(scope, scanned.order)
        });
        let lot = missing(&known.lot, || definition.lot.reference(scope, scanned.lot));
        let operator = missing(&known.operator, || {
            definition.operator.reference(scope, scanned.operator)
        });
        let known_program = program.as_ref().or(known.program.as_ref());
        let product = missing(&known.product, || {
            let program = known_program.map(|program| program.id.as_str());
            definition
                .product
                .reference(scope, program, scanned.product)
        });
        let unlisted = known_program
            .is_some_and(|program| definition.product.is_unlisted(Some(program.id.as_str())));
        let learnt = [&program, &order, &lot, &product, &operator];
        let learnt = learnt.into_iter().any(Option::is_some);
        let open = self.slots.get_mut(slot)?.open.as_mut()?;
        let facts = &mut open.facts;
        let places = [
            (&mut facts.program, program),
            (&mut facts.order, order),
            (&mut facts.lot, lot),
            (&mut facts.product, product),
            (&mut facts.operator, operator),
        ];
        for (place, found) in places {
            if found.is_some() {
                *place = found;
            }
        }
        if unlisted && learnt {
            open.flags.insert(Flag::UnverifiedMasterdata);
        }
        Some(learnt)
    }

    /// Tags that say something about operations: their changes are looked at.
    pub(super) fn fact_tags(definition: &Definition) -> impl Iterator<Item = usize> + '_ {
        let during = definition.during.as_ref();
        let gate = definition.only_if.iter().filter(move |_| during.is_some());
        [
            definition.order.tag(),
            definition.lot.tag(),
            definition.operator.tag(),
            definition.product.tag(),
            definition.program.as_ref().and_then(|fact| fact.tag()),
            during.and_then(|during| during.tag),
        ]
        .into_iter()
        .flatten()
        .chain(gate.flat_map(|gate| gate.tags.iter().copied()))
    }
}

/// What is found for something that was not known.
fn missing(
    known: &Option<Reference>,
    find: impl FnOnce() -> Option<Reference>,
) -> Option<Reference> {
    match known {
        Some(_) => None,
        None => find(),
    }
}
