//! What is known about an operation besides its measurements: order, product, lot, program, operator, purpose, parts. Pure.

use super::{Machine, Moment};
use crate::aggregate::definition::Definition;
use crate::aggregate::operation::Facts;
use crate::model::Reference;

impl Machine {
    /// The order that is worked on: that of the open operation, else what its settings say now.
    pub(super) fn order_now(&self) -> Option<Reference> {
        let open = self.slots.iter().find_map(|slot| slot.open.as_ref());
        match open {
            Some(open) => open.facts.order.clone(),
            None => {
                let definition = self.definitions.iter().find(|one| !one.retired)?;
                let scanned = self.context.order();
                definition.order.reference(&self.scope, scanned)
            }
        }
    }

    /// The product that is worked on.
    pub(super) fn product_now(&self) -> Option<Reference> {
        let open = self.slots.iter().find_map(|slot| slot.open.as_ref());
        match open {
            Some(open) => open.facts.product.clone(),
            None => self.context.product().cloned(),
        }
    }

    /// What is read at the start edge.
    pub(super) fn facts(&self, definition: &Definition, moment: &Moment<'_>) -> Facts {
        let scope = &self.scope;
        Facts {
            segment: definition
                .segment
                .as_ref()
                .and_then(|fact| fact.text(scope)),
            order: definition.order.reference(scope, self.context.order()),
            product: definition.product.reference(scope, self.context.product()),
            lot: definition.lot.reference(scope, self.context.lot()),
            operator: definition
                .operator
                .reference(scope, self.context.operator()),
            program: definition
                .program
                .as_ref()
                .and_then(|fact| fact.reference(scope)),
            purpose: self.context.purpose().unwrap_or_default(),
            shift: self.shifts.name(),
            mode_at_start: Some(self.mode()),
            parts: self.parts_at_start(definition, moment),
        }
    }
}
