//! What is read of a server, one item for each tag: where it lies, and how its values become readings.
//!
//! Pure. Used by the driver for notifications and for answers to Read alike. An item remembers its last value, because a
//! server sends all values again after each reconnect.

use super::quality::{Worth, lost_some, source, worth};
use super::state::States;
use super::structure;
use super::types::Types;
use super::value::{element, fits, value};
use crate::acquire::driver::Reading;
use crate::model::{BadReason, Stamp, TagId, UtcTime, Value};
use crate::settings::Variable;
use crate::settings::shape::Timestamps;
use opcua::types::{
    AttributeId, ContextOwned, DataValue, NodeId, NumericRange, ReadValueId, Variant,
};
use std::time::Duration;

/// A tag, as it is read of this server.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Which tag.
    pub(super) tag: TagId,
    /// Its name, for logs.
    pub(super) name: String,
    /// How often the server looks at it, or we ask.
    pub(super) every: Duration,
    /// What the settings say.
    pub(super) variable: Variable,
    /// Where it lies on this connection.
    pub(super) place: Place,
    last: Option<Last>,
    /// Why the value that came last is none, not told yet.
    misfit: Option<String>,
    /// No value came yet on this connection.
    fresh: bool,
}

/// Where a tag lies on this connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Place {
    /// At a node; `ranged`: the server itself picks the element of the array.
    At { node: NodeId, ranged: bool },
    /// Nowhere: the tag is bad.
    Nowhere(BadReason),
}

/// What is compared to know a value that was sent again.
#[derive(Clone, Debug, PartialEq)]
struct Last {
    source: Option<UtcTime>,
    status: u32,
    raw: Result<Value, BadReason>,
}

/// What is known of the server, to understand its values.
pub(super) struct Known<'a> {
    pub(super) types: &'a Types,
    pub(super) states: &'a States,
    pub(super) context: &'a ContextOwned,
    pub(super) timestamps: Timestamps,
}

/// What must be asked before a value can be understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Missing {
    /// How a structure with this mark lies.
    Layout(NodeId),
    /// What this state is called.
    State(NodeId),
}

impl Item {
    /// An item that lies nowhere yet.
    pub(super) fn new(tag: TagId, name: String, every: Duration, variable: Variable) -> Item {
        Item {
            tag,
            name,
            every,
            variable,
            place: Place::Nowhere(BadReason::Source),
            last: None,
            misfit: None,
            fresh: true,
        }
    }

    /// A new connection: the first value may be one that came before.
    pub(super) fn renew(&mut self) {
        self.place = Place::Nowhere(BadReason::Source);
        self.fresh = true;
    }

    /// Forgets the last value: the next one counts, even if it is the same.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    /// What the server is asked for.
    pub(super) fn read_value_id(&self) -> Option<ReadValueId> {
        let Place::At { node, ranged } = &self.place else {
            return None;
        };
        let mut asked = ReadValueId::new(node.clone(), AttributeId::Value);
        if let (true, Some(index)) = (*ranged, self.variable.index) {
            asked.index_range = NumericRange::Index(index);
        }
        Some(asked)
    }

    /// Whether the server can pick the element of the array itself: not where a field of it is wanted.
    pub(super) fn can_be_ranged(&self) -> bool {
        self.variable.index.is_some() && self.variable.field.is_empty()
    }

    /// What must be known to understand this value.
    pub(super) fn missing(&self, value: &DataValue, known: &Known<'_>) -> Option<Missing> {
        let held = value.value.as_ref()?;
        if self.variable.state_machine {
            let state = state_of(held)?;
            return known
                .states
                .name(state)
                .is_none()
                .then(|| Missing::State(state.clone()));
        }
        if self.variable.field.is_empty() {
            return None;
        }
        let mark = structure::encoding(structure::structure(held)?)?;
        (!known.types.layouts.knows(&mark)).then_some(Missing::Layout(mark))
    }

    /// Makes readings of a value: one, two where older values were lost before it, or none where it was sent again.
    pub(super) fn readings(
        &mut self,
        came: &DataValue,
        stamp: Stamp,
        known: &Known<'_>,
        readings: &mut Vec<Reading>,
    ) -> Repeated {
        let now = Last {
            source: came.source_timestamp.as_ref().and_then(super::quality::utc),
            status: came.status.map_or(0, |status| status.bits()),
            raw: self.raw(came, known),
        };
        let repeated = std::mem::take(&mut self.fresh) && self.last.as_ref() == Some(&now);
        if !repeated {
            let reading = |raw| Reading {
                tag: self.tag,
                stamp,
                source: source(came, known.timestamps),
                raw,
                uncertain: worth(came.status) == Worth::Uncertain,
            };
            if lost_some(came.status) {
                readings.push(reading(Err(BadReason::Overflow)));
            }
            readings.push(reading(now.raw.clone()));
        }
        let misfits = now.raw == Err(BadReason::Malformed);
        let told = self.last.as_ref().is_some_and(|last| last.raw == now.raw);
        self.misfit = (misfits && !told).then(|| self.why_not(came.value.as_ref()));
        self.last = Some(now);
        Repeated(repeated)
    }

    /// Why the last value is none of this tag, the first time.
    pub(super) fn take_misfit(&mut self) -> Option<String> {
        self.misfit.take()
    }

    /// What the settings would have to say for this value.
    fn why_not(&self, held: Option<&Variant>) -> String {
        let field = !self.variable.field.is_empty();
        match (held, self.variable.index) {
            (Some(Variant::Array(array)), Some(index)) if !field => {
                let most = array.values.len();
                format!("there is no element {index}: the array has {most}")
            }
            (Some(Variant::Array(array)), None) => {
                format!("it is an array of {}: write `index:`", array.values.len())
            }
            (Some(Variant::ExtensionObject(_)), _) if !field => {
                "it is a structure: write `field:`".to_owned()
            }
            (_, None) if field => {
                "what `field:` names is no single value; an array on the way needs `index:`"
                    .to_owned()
            }
            _ => "its value does not fit `type`, `index` and `field` of the settings".to_owned(),
        }
    }

    /// What the server says is wrong with this value, if it did not say so of the one before.
    pub(super) fn new_trouble(&self, came: &DataValue) -> Option<String> {
        let status = came.status.filter(|_| worth(came.status) == Worth::Bad)?;
        let told = self
            .last
            .as_ref()
            .is_some_and(|last| last.status == status.bits());
        (!told).then(|| format!("the server says {status}"))
    }

    /// The bad reading of a tag that cannot be read, or whose values were lost. What comes next counts, even if it is what
    /// came before: the tag is bad now.
    pub(super) fn bad(&mut self, reason: BadReason, stamp: Stamp) -> Reading {
        self.forget();
        Reading {
            tag: self.tag,
            stamp,
            source: None,
            raw: Err(reason),
            uncertain: false,
        }
    }

    fn raw(&self, came: &DataValue, known: &Known<'_>) -> Result<Value, BadReason> {
        if worth(came.status) == Worth::Bad {
            return Err(BadReason::Source);
        }
        let held = came.value.as_ref().unwrap_or(&Variant::Empty);
        if self.variable.state_machine {
            return state_name(held, known.states);
        }
        let dug;
        let held = if self.variable.field.is_empty() {
            self.element(held)?
        } else {
            let index = self.index();
            let context = known.context.context();
            dug = known
                .types
                .layouts
                .dig(held, &self.variable.field, index, &context)?;
            &dug
        };
        match self.variable.kind {
            Some(kind) if !fits(kind, held) => Err(BadReason::Malformed),
            _ => value(held),
        }
    }

    /// The element of an array, where the settings name one.
    fn element<'v>(&self, held: &'v Variant) -> Result<&'v Variant, BadReason> {
        let Some(index) = self.index() else {
            return Ok(held);
        };
        match (&self.place, held) {
            // Some servers answer with the bare element.
            (Place::At { ranged: true, .. }, Variant::Array(_)) => element(held, 0),
            (Place::At { ranged: true, .. }, bare) => Ok(bare),
            _ => element(held, index),
        }
    }

    fn index(&self) -> Option<usize> {
        self.variable
            .index
            .and_then(|index| usize::try_from(index).ok())
    }
}

/// A value that had come before the connection broke, and is not handed on again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated(pub(super) bool);

/// The node that identifies a state.
fn state_of(held: &Variant) -> Option<&NodeId> {
    match held {
        Variant::NodeId(node) if !node.is_null() => Some(node),
        Variant::ExpandedNodeId(node) if !node.node_id.is_null() => Some(&node.node_id),
        _ => None,
    }
}

/// The name of a state. Machines whose Ids are no nodes are known by the Id itself.
fn state_name(held: &Variant, states: &States) -> Result<Value, BadReason> {
    if let Some(state) = state_of(held) {
        let name = states.name(state).ok_or(BadReason::Source)?;
        return Ok(Value::Text(name.clone()));
    }
    match value(held)? {
        Value::Text(text)
            if !text.is_empty()
                && !matches!(held, Variant::NodeId(_) | Variant::ExpandedNodeId(_)) =>
        {
            Ok(Value::Text(text))
        }
        Value::Int(number) => Ok(Value::Text(number.to_string().into())),
        _ => Err(BadReason::Malformed),
    }
}

#[cfg(test)]
mod tests;
