//! What is asked once on each connection: the server's namespaces and limits, and whether each tag is there and is what
//! the settings say.
//!
//! Called by the driver between `session::open` and the first value. What is wrong with a tag is wrong with this tag only.

use super::items::{Item, Place};
use super::limits::MAX_NODES;
use super::names::Namespaces;
use super::services;
use super::state;
use super::types::{Types, admits, word};
use super::wire::{Trouble, Wire};
use crate::acquire::driver::link_error;
use crate::model::{BadReason, LinkError};
use crate::settings::shape::TagType;
use opcua::types::{
    AttributeId, DataValue, NodeId, NumericRange, ReadValueId, TimestampsToReturn, VariableId,
    Variant, VariantScalarTypeId,
};
use std::collections::HashMap;

/// What a server can do, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// Its namespaces.
    pub(super) namespaces: Namespaces,
    /// It picks single elements of arrays itself.
    pub(super) ranges: bool,
    /// Most nodes in one Read.
    pub(super) nodes_per_read: usize,
    /// Most items in one CreateMonitoredItems.
    pub(super) items_per_call: usize,
    /// Most paths in one TranslateBrowsePaths.
    pub(super) paths_per_call: usize,
}

/// What is wrong with one tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Which item.
    pub(super) item: usize,
    /// What its samples say.
    pub(super) reason: BadReason,
    /// In words.
    pub(super) what: String,
}

impl Fault {
    fn new(item: usize, reason: BadReason, what: impl Into<String>) -> Fault {
        Fault {
            item,
            reason,
            what: what.into(),
        }
    }
}

/// Asks what there is to know of the server.
///
/// # Errors
/// When it does not say which namespaces it has.
pub(super) async fn survey(wire: &mut Wire) -> Result<Server, LinkError> {
    use VariableId as V;
    let table: NodeId = V::Server_NamespaceArray.into();
    let mut second = ReadValueId::new_value(table.clone());
    second.index_range = NumericRange::Index(1);
    let limits = [
        V::Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
        V::Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
        V::Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    ];
    let mut asked = vec![ReadValueId::new_value(table), second];
    asked.extend(limits.map(|limit| ReadValueId::new_value(limit.into())));
    let answers = services::read(wire, &asked, TimestampsToReturn::Neither, MAX_NODES).await;
    let answers = answers.map_err(|trouble| trouble.into_link_error("to say its namespaces"))?;
    let namespaces = held(answers.first())
        .and_then(Namespaces::of)
        .ok_or_else(|| {
            let detail = format!(
                "{}: the server does not say which namespaces it has",
                wire.name()
            );
            link_error("protocol", detail)
        })?;
    // A server that does not know index ranges answers with the whole table.
    let one = |value: &Variant| matches!(value, Variant::Array(array) if array.values.len() == 1);
    let limit = |place: usize| match held(answers.get(place)) {
        Some(Variant::UInt32(limit)) if *limit > 0 => {
            usize::try_from(*limit).unwrap_or(MAX_NODES).min(MAX_NODES)
        }
        _ => MAX_NODES,
    };
    Ok(Server {
        ranges: namespaces.len() > 1 && held(answers.get(1)).is_some_and(one),
        nodes_per_read: limit(2),
        items_per_call: limit(3),
        paths_per_call: limit(4),
        namespaces,
    })
}

/// Finds the places of items, `which` being their numbers, and says what is wrong with those that have none.
///
/// # Errors
/// When the connection breaks.
pub(super) async fn place(
    wire: &mut Wire,
    server: &Server,
    types: &mut Types,
    items: &mut [Item],
    which: &[usize],
) -> Result<Vec<Fault>, Trouble> {
    let mut faults = Vec::new();
    let mut places = HashMap::new();
    for &number in which {
        let Some(item) = items.get(number) else {
            continue;
        };
        match server.namespaces.resolve(&item.variable.node) {
            Ok(node) => {
                places.insert(number, node);
            }
            Err(what) => faults.push(Fault::new(number, BadReason::Source, what)),
        }
    }
    find_states(wire, server, items, &mut places, &mut faults).await?;
    check(wire, server, types, items, &mut places, &mut faults).await?;
    for (number, node) in places {
        if let Some(item) = items.get_mut(number) {
            let ranged = server.ranges && item.can_be_ranged();
            item.place = Place::At { node, ranged };
        }
    }
    for fault in &faults {
        if let Some(item) = items.get_mut(fault.item) {
            item.place = Place::Nowhere(fault.reason);
        }
    }
    Ok(faults)
}

/// Goes from state machines to the variables that hold their Ids.
async fn find_states(
    wire: &mut Wire,
    server: &Server,
    items: &[Item],
    places: &mut HashMap<usize, NodeId>,
    faults: &mut Vec<Fault>,
) -> Result<(), Trouble> {
    let is_machine = |number: &usize| {
        items
            .get(*number)
            .is_some_and(|item| item.variable.state_machine)
    };
    let machines: Vec<(usize, NodeId)> = places
        .iter()
        .filter(|(number, _)| is_machine(number))
        .map(|(number, node)| (*number, node.clone()))
        .collect();
    let nodes: Vec<NodeId> = machines.iter().map(|(_, node)| node.clone()).collect();
    let ids = state::ids(wire, &nodes, server.paths_per_call).await?;
    for ((number, node), id) in machines.into_iter().zip(ids) {
        match id {
            Some(id) => {
                places.insert(number, id);
            }
            None => {
                places.remove(&number);
                let what = format!(
                    "{node} is no state machine: neither it nor a `CurrentState` below it has an `Id`"
                );
                faults.push(Fault::new(number, BadReason::Source, what));
            }
        }
    }
    Ok(())
}

/// Compares what the settings say of the values with what the server says.
async fn check(
    wire: &mut Wire,
    server: &Server,
    types: &mut Types,
    items: &[Item],
    places: &mut HashMap<usize, NodeId>,
    faults: &mut Vec<Fault>,
) -> Result<(), Trouble> {
    let says_more = |item: &Item| {
        let variable = &item.variable;
        !variable.state_machine && (variable.kind.is_some() || !variable.field.is_empty())
    };
    let mut asked: Vec<(usize, NodeId)> = places
        .iter()
        .filter(|(number, _)| items.get(**number).is_some_and(says_more))
        .map(|(number, node)| (*number, node.clone()))
        .collect();
    asked.sort_by_key(|(number, _)| *number);
    let attributes: Vec<ReadValueId> = asked
        .iter()
        .flat_map(|(_, node)| {
            [AttributeId::DataType, AttributeId::ValueRank]
                .map(|attribute| ReadValueId::new(node.clone(), attribute))
        })
        .collect();
    let answers = services::read(
        wire,
        &attributes,
        TimestampsToReturn::Neither,
        server.nodes_per_read,
    )
    .await?;
    for ((number, node), answer) in asked.into_iter().zip(answers.chunks(2)) {
        let Some(item) = items.get(number) else {
            continue;
        };
        if let Some(fault) = fault_of(wire, types, number, item, &node, answer).await? {
            places.remove(&number);
            faults.push(fault);
        }
    }
    Ok(())
}

async fn fault_of(
    wire: &mut Wire,
    types: &mut Types,
    number: usize,
    item: &Item,
    node: &NodeId,
    answer: &[DataValue],
) -> Result<Option<Fault>, Trouble> {
    let Some(Variant::NodeId(data_type)) = held(answer.first()) else {
        let status = answer
            .first()
            .and_then(|answer| answer.status)
            .unwrap_or_default();
        let what = format!("{node} has no data type ({status}): is it a variable of this server?");
        return Ok(Some(Fault::new(number, BadReason::Source, what)));
    };
    let base = types.built_in(wire, data_type).await?;
    let base = base.unwrap_or(VariantScalarTypeId::Variant);
    let malformed = |what: String| Some(Fault::new(number, BadReason::Malformed, what));
    if let Some(what) = wrong_rank(item, held(answer.get(1))) {
        return Ok(malformed(format!("{node} {what}")));
    }
    let leaf = if item.variable.field.is_empty() {
        base
    } else if base == VariantScalarTypeId::ExtensionObject {
        types.learn(wire, data_type).await?;
        match types.leaf(data_type, &item.variable.field) {
            Ok(leaf) => leaf,
            Err(what) => return Ok(malformed(format!("{node}: {what}"))),
        }
    } else if base == VariantScalarTypeId::Variant {
        base
    } else {
        let what = format!("{node} is a {base:?} and has no fields: leave `field` out");
        return Ok(malformed(what));
    };
    match item.variable.kind {
        Some(kind) if !admits(kind, leaf) => {
            Ok(malformed(format!("{node} {}", other_type(kind, leaf))))
        }
        _ => Ok(None),
    }
}

fn other_type(kind: TagType, leaf: VariantScalarTypeId) -> String {
    let instead = match word(leaf) {
        Some(fits) => format!("write `type: {}`", kind_word(fits)),
        None => "no `type` fits it".to_owned(),
    };
    format!("holds {leaf:?}, not `type: {}`: {instead}", kind_word(kind))
}

/// A type as the settings write it.
pub(super) fn kind_word(kind: TagType) -> String {
    format!("{kind:?}").to_lowercase()
}

/// Whether an array is taken for a single value, or the other way round. Ranks: -1 a single value, 1 and more an array.
fn wrong_rank(item: &Item, rank: Option<&Variant>) -> Option<&'static str> {
    let Some(Variant::Int32(rank)) = rank else {
        return None;
    };
    let (indexed, dug) = (
        item.variable.index.is_some(),
        !item.variable.field.is_empty(),
    );
    match rank {
        -1 if indexed && !dug => Some("is a single value: leave `index` out"),
        1.. if !indexed => Some("is an array: write `index: 0` for its first element"),
        2.. => Some("is an array of several dimensions, which are not read"),
        _ => None,
    }
}

fn held(answer: Option<&DataValue>) -> Option<&Variant> {
    answer.and_then(|answer| answer.value.as_ref())
}
