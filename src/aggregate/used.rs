//! What an operation works on and with: lots of its materials, its tools, the part that it took. Pure.
//!
//! Kept with the open operation; told at its end. Where several lots of one material were used, nobody knows how much of
//! each: their quantities are not known.

use super::part::Pending;
use crate::model::{Material, Part, Tool};
use crate::settings::shape::MaterialNeed;
use serde::{Deserialize, Serialize};

/// Most lots of one material that are listed.
const MAX_LOTS: usize = 16;
/// Most tools that are listed: a machining centre uses some dozens for a piece.
const MAX_TOOLS: usize = 200;

/// What an open operation works on and with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Used {
    /// Lots of each material, in the order in which they came.
    lots: Vec<Vec<String>>,
    tools: Vec<Tool>,
    /// The part for the next operation that it took: goes back if it turns out to be none.
    pub(super) taken: Option<Pending>,
    /// Other parts that were scanned before it was told: they are for nothing then.
    pub(super) given: Vec<Pending>,
    /// What its part tag said at the end that is being debounced.
    pub(super) at_end: Option<Part>,
}

impl Used {
    /// A lot of the material of that number is in use.
    pub(super) fn lot(&mut self, material: usize, lot: &str) {
        while self.lots.len() <= material {
            self.lots.push(Vec::new());
        }
        let Some(lots) = self.lots.get_mut(material) else {
            return;
        };
        if lots.last().is_none_or(|last| last != lot) && lots.len() < MAX_LOTS {
            lots.push(lot.to_owned());
        }
    }

    /// A tool is in use. What is known of the one in use is kept up to date.
    pub(super) fn tool(&mut self, tool: &Tool) {
        if let Some(known) = self.tools.iter_mut().find(|one| one.id == tool.id) {
            known.cycles = tool.cycles;
        } else if self.tools.len() < MAX_TOOLS {
            self.tools.push(tool.clone());
        }
    }

    /// All tools that were used, each once, in the order of their first use.
    pub(super) fn tools(&self) -> &[Tool] {
        &self.tools
    }

    /// All materials of the settings, for so many pieces.
    pub(super) fn materials(&self, needs: &[MaterialNeed], pieces: Option<u64>) -> Vec<Material> {
        let mut materials = Vec::new();
        for (number, need) in needs.iter().enumerate() {
            let lots = self.lots.get(number).map_or(&[][..], Vec::as_slice);
            let whole = need
                .quantity
                .zip(pieces)
                .map(|(each, pieces)| each * pieces as f64);
            let material = |lot: Option<&String>| Material {
                id: need.id.clone(),
                lot: lot.cloned(),
                quantity: whole.filter(|_| lots.len() <= 1),
                unit: need.unit.clone(),
                usage: need.usage,
            };
            if lots.is_empty() {
                materials.push(material(None));
            }
            materials.extend(lots.iter().map(|lot| material(Some(lot))));
        }
        materials
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs() -> Vec<MaterialNeed> {
        serde_saphyr::from_str("[{ id: BLANK, quantity: 2, unit: kg }, { id: OIL }]").unwrap()
    }

    /// `id/lot/quantity` of each material.
    fn listed(lots: &[(usize, &str)], pieces: Option<u64>) -> Vec<String> {
        let mut used = Used::default();
        lots.iter().for_each(|(number, lot)| used.lot(*number, lot));
        let materials = used.materials(&needs(), pieces);
        let words = materials.iter().map(|one| {
            let lot = one.lot.as_deref().unwrap_or("-");
            format!("{}/{lot}/{:?}", one.id, one.quantity)
        });
        words.collect()
    }

    #[test]
    fn materials_are_listed_with_their_lots() {
        type Lots = &'static [(usize, &'static str)];
        let cases: &[(Lots, Option<u64>, &[&str])] = &[
            (&[], Some(1), &["BLANK/-/Some(2.0)", "OIL/-/None"]),
            (&[(0, "A")], Some(3), &["BLANK/A/Some(6.0)", "OIL/-/None"]),
            (&[(0, "A")], None, &["BLANK/A/None", "OIL/-/None"]),
            (
                &[(0, "A"), (0, "A"), (0, "B"), (1, "X")],
                Some(1),
                &["BLANK/A/None", "BLANK/B/None", "OIL/X/None"],
            ),
        ];
        for (lots, pieces, expected) in cases {
            assert_eq!(&listed(lots, *pieces), expected, "{lots:?}");
        }
    }

    #[test]
    fn lots_and_tools_are_bounded_and_a_tool_is_listed_once() {
        let mut used = Used::default();
        for number in 0..1_000 {
            used.lot(0, &number.to_string());
            let tool = |cycles| Tool {
                id: number.to_string(),
                cycles: Some(cycles),
            };
            used.tool(&tool(1));
            used.tool(&tool(2));
        }
        assert_eq!(used.materials(&needs(), Some(1)).len(), MAX_LOTS + 1);
        assert_eq!(used.tools().len(), MAX_TOOLS);
        assert!(used.tools().iter().all(|tool| tool.cycles == Some(2)));
    }
}
