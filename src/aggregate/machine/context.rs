//! What was scanned and still counts: order, lot, product, operator, purpose, lots of materials. Pure.

use super::{Machine, Moment};
use crate::model::Reference;
use crate::settings::shape::Purpose;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was scanned and still counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Context {
    order: Option<Reference>,
    lot: Option<Reference>,
    product: Option<Reference>,
    operator: Option<Reference>,
    purpose: Option<Purpose>,
    /// Lot by material.
    materials: BTreeMap<String, String>,
}

impl Context {
    pub(super) fn order(&self) -> Option<&Reference> {
        self.order.as_ref()
    }

    pub(super) fn lot(&self) -> Option<&Reference> {
        self.lot.as_ref()
    }

    pub(super) fn product(&self) -> Option<&Reference> {
        self.product.as_ref()
    }

    pub(super) fn operator(&self) -> Option<&Reference> {
        self.operator.as_ref()
    }

    pub(super) fn purpose(&self) -> Option<Purpose> {
        self.purpose
    }

    /// The lot of a material.
    pub(super) fn material(&self, id: &str) -> Option<&String> {
        self.materials.get(id)
    }
}

impl Machine {
    /// The shift ended: what counts until then counts no longer.
    pub(super) fn context_shift_ended(&mut self, _moment: &mut Moment<'_>) {}
}
