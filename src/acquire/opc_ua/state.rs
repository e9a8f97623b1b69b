//! State machines (OPC 10000-16; MachineryItemState of OPC 40001-1): a state is known by the Id beside its text, which is
//! the node of the state, and named by that node's BrowseName. The text itself is translated, and never read.
//!
//! Used by the driver; names are asked for once and kept.

use super::limits::MAX_NODES;
use super::services;
use super::wire::{Trouble, Wire};
use opcua::types::{
    AttributeId, BrowsePath, NodeId, QualifiedName, ReadValueId, ReferenceTypeId, RelativePath,
    RelativePathElement, TimestampsToReturn, Variant,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Most states of one server that are remembered; past it, names are asked for anew.
const MAX_STATES: usize = 1_000;

/// The names of states.
#[derive(Debug, Default)]
pub(super) struct States(HashMap<NodeId, Option<Arc<str>>>);

impl States {
    /// The name of a state; `None` where the server has none for it, or was not asked yet.
    pub(super) fn name(&self, state: &NodeId) -> Option<&Arc<str>> {
        self.0.get(state).and_then(Option::as_ref)
    }

    /// Asks for the names that are not known yet.
    pub(super) async fn learn(
        &mut self,
        wire: &mut Wire,
        states: impl IntoIterator<Item = NodeId>,
    ) -> Result<(), Trouble> {
        let mut unknown: Vec<NodeId> = states
            .into_iter()
            .filter(|state| !self.0.contains_key(state))
            .collect();
        unknown.sort_by_key(ToString::to_string);
        unknown.dedup();
        unknown.truncate(MAX_STATES);
        if unknown.is_empty() {
            return Ok(());
        }
        if self.0.len() + unknown.len() > MAX_STATES {
            self.0.clear();
        }
        let ask = |state: &NodeId| ReadValueId::new(state.clone(), AttributeId::BrowseName);
        let asked: Vec<ReadValueId> = unknown.iter().map(ask).collect();
        let answers = services::read(wire, &asked, TimestampsToReturn::Neither, MAX_NODES).await?;
        for (state, answer) in unknown.into_iter().zip(answers) {
            let name = match answer.value {
                Some(Variant::QualifiedName(name)) if !name.name.is_empty() => {
                    Some(Arc::from(name.name.as_ref()))
                }
                _ => None,
            };
            self.0.insert(state, name);
        }
        Ok(())
    }
}

/// The variables that hold the Ids of machines, in the order of `machines`: each is the machine itself or its
/// `CurrentState`. `None` where there is none.
pub(super) async fn ids(
    wire: &mut Wire,
    machines: &[NodeId],
    per_request: usize,
) -> Result<Vec<Option<NodeId>>, Trouble> {
    if machines.is_empty() {
        return Ok(Vec::new());
    }
    let paths: Vec<BrowsePath> = machines
        .iter()
        .flat_map(|machine| {
            [
                path(machine, &["CurrentState", "Id"]),
                path(machine, &["Id"]),
            ]
        })
        .collect();
    let found = services::translate(wire, &paths, per_request).await?;
    let target = |result: &opcua::types::BrowsePathResult| {
        let target = result.targets.as_ref()?.first()?;
        (!result.status_code.is_bad()).then(|| target.target_id.node_id.clone())
    };
    Ok(found
        .chunks(2)
        .map(|ways| ways.iter().find_map(target))
        .collect())
}

fn path(start: &NodeId, names: &[&str]) -> BrowsePath {
    let element = |name: &&str| RelativePathElement {
        reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
        is_inverse: false,
        include_subtypes: true,
        target_name: QualifiedName::new(0, *name),
    };
    BrowsePath {
        starting_node: start.clone(),
        relative_path: RelativePath {
            elements: Some(names.iter().map(element).collect()),
        },
    }
}
