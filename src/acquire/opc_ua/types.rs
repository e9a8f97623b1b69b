//! What a server says of its data types: which built-in type a variable holds, and how its structures lie
//! (OPC 10000-3, 5.8.3: DataTypeDefinition).
//!
//! Asked by the driver at each connect for the tags that need it, and when a structure comes that is not known yet.

use super::limits::MAX_NODES;
use super::services;
use super::structure::{Field, Kind, Layout, Layouts, Of};
use super::wire::{Trouble, Wire};
use crate::settings::shape::TagType;
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResultMask, DataValue, Identifier,
    NodeId, ReadValueId, ReferenceTypeId, StructureDefinition, StructureField, StructureType,
    TimestampsToReturn, Variant, VariantScalarTypeId,
};
use std::collections::{HashMap, HashSet};

/// Most data types of one server that are looked at.
const MAX_TYPES: usize = 500;
/// Most levels between a data type and the built-in one that it is.
const MAX_LEVELS: usize = 20;

/// What is known of a server's data types.
#[derive(Debug, Default)]
pub(super) struct Types {
    /// How structures lie.
    pub(super) layouts: Layouts,
    /// Of which type a data type is a subtype; `None` where the server does not say.
    parents: HashMap<NodeId, Option<NodeId>>,
    /// Marks of structures that were asked about.
    asked: HashSet<NodeId>,
}

impl Types {
    /// The built-in type that a data type is in the end; `Variant` for one that may be several, such as Number.
    pub(super) async fn built_in(
        &mut self,
        wire: &mut Wire,
        data_type: &NodeId,
    ) -> Result<Option<VariantScalarTypeId>, Trouble> {
        let mut current = data_type.clone();
        for _ in 0..MAX_LEVELS {
            if let Some(found) = standard(&current) {
                return Ok(Some(found));
            }
            let parent = match self.parents.get(&current) {
                Some(known) => known.clone(),
                None => {
                    let found = related(wire, &current, ReferenceTypeId::HasSubtype).await?;
                    if self.parents.len() < MAX_TYPES {
                        self.parents.insert(current, found.clone());
                    }
                    found
                }
            };
            let Some(parent) = parent else {
                return Ok(None);
            };
            current = parent;
        }
        Ok(None)
    }

    /// Learns how a structure lies, and those inside it.
    pub(super) async fn learn(
        &mut self,
        wire: &mut Wire,
        data_type: &NodeId,
    ) -> Result<(), Trouble> {
        let mut found: HashMap<NodeId, (StructureDefinition, bool)> = HashMap::new();
        let mut next = vec![data_type.clone()];
        while let Some(one) = next.pop() {
            let known = self.layouts.of_type(&one).is_some() || found.contains_key(&one);
            if known || self.layouts.len() + found.len() >= MAX_TYPES {
                continue;
            }
            let Some((definition, is_abstract)) = definition(wire, &one).await? else {
                if let Some((encoding, layout)) = well_known(&one) {
                    self.layouts.add(one, Some(encoding), layout);
                }
                continue;
            };
            for field in definition.fields.iter().flatten() {
                let kind = self.built_in(wire, &field.data_type).await?;
                if kind == Some(VariantScalarTypeId::ExtensionObject) {
                    next.push(field.data_type.clone());
                }
            }
            found.insert(one, (definition, is_abstract));
        }
        let abstracts: HashSet<NodeId> = found
            .iter()
            .filter(|(_, (_, is))| *is)
            .map(|(id, _)| id.clone())
            .collect();
        for (id, (definition, _)) in found {
            let encoding = Some(definition.default_encoding_id.clone()).filter(|id| !id.is_null());
            if let Some(layout) = self.layout(wire, definition, &abstracts).await? {
                self.layouts.add(id, encoding, layout);
            }
        }
        Ok(())
    }

    /// Learns the structure that is marked so, unless that was tried before.
    pub(super) async fn learn_mark(
        &mut self,
        wire: &mut Wire,
        encoding: &NodeId,
    ) -> Result<(), Trouble> {
        if self.asked.len() >= MAX_TYPES || !self.asked.insert(encoding.clone()) {
            return Ok(());
        }
        if let Some(data_type) = related(wire, encoding, ReferenceTypeId::HasEncoding).await? {
            self.learn(wire, &data_type).await?;
            self.layouts.mark(encoding.clone(), &data_type);
        }
        Ok(())
    }

    async fn layout(
        &mut self,
        wire: &mut Wire,
        definition: StructureDefinition,
        abstracts: &HashSet<NodeId>,
    ) -> Result<Option<Layout>, Trouble> {
        let (kind, subtypes) = match definition.structure_type {
            StructureType::Structure => (Kind::All, false),
            StructureType::StructureWithOptionalFields => (Kind::Optional, false),
            StructureType::Union => (Kind::Union, false),
            StructureType::StructureWithSubtypedValues => (Kind::All, true),
            StructureType::UnionWithSubtypedValues => (Kind::Union, true),
        };
        let mut fields = Vec::new();
        for one in definition.fields.unwrap_or_default() {
            let Some(built_in) = self.built_in(wire, &one.data_type).await? else {
                return Ok(None);
            };
            fields.push(field(one, built_in, subtypes, abstracts));
        }
        Ok(Some(Layout { kind, fields }))
    }

    /// The built-in type at the end of a path through a structure.
    ///
    /// # Errors
    /// What is wrong with the path, in words.
    pub(super) fn leaf(
        &self,
        data_type: &NodeId,
        path: &[String],
    ) -> Result<VariantScalarTypeId, String> {
        let mut current = data_type.clone();
        let mut steps = path.iter();
        while let Some(name) = steps.next() {
            let layout = self.layouts.of_type(&current).ok_or_else(|| {
                format!("the server does not say what fields {current} has: `field` needs a server with data type definitions (OPC UA 1.04)")
            })?;
            let Some(field) = layout.fields.iter().find(|field| field.name == *name) else {
                let all: Vec<&str> = layout
                    .fields
                    .iter()
                    .map(|field| field.name.as_str())
                    .collect();
                return Err(format!(
                    "there is no field `{name}`, only {}",
                    all.join(", ")
                ));
            };
            match &field.of {
                Of::Structure(deeper) => current = deeper.clone(),
                // What an abstract type holds is known when it comes.
                Of::BuiltIn(
                    VariantScalarTypeId::ExtensionObject | VariantScalarTypeId::Variant,
                ) => {
                    return Ok(VariantScalarTypeId::Variant);
                }
                Of::BuiltIn(kind) => match steps.next() {
                    None => return Ok(*kind),
                    Some(deeper) => {
                        return Err(format!(
                            "`{name}` is a {kind:?} and has no field `{deeper}`"
                        ));
                    }
                },
            }
        }
        Ok(VariantScalarTypeId::ExtensionObject)
    }
}

fn field(
    one: StructureField,
    built_in: VariantScalarTypeId,
    subtypes: bool,
    abstracts: &HashSet<NodeId>,
) -> Field {
    let structure = built_in == VariantScalarTypeId::ExtensionObject;
    let of = if subtypes && one.is_optional && !structure {
        Of::BuiltIn(VariantScalarTypeId::Variant)
    } else if structure
        && !(subtypes && one.is_optional)
        && !abstracts.contains(&one.data_type)
        && standard(&one.data_type).is_none()
    {
        Of::Structure(one.data_type)
    } else {
        Of::BuiltIn(built_in)
    };
    Field {
        name: one.name.as_ref().to_owned(),
        of,
        rank: one.value_rank,
        optional: one.is_optional,
    }
}

/// Whether a variable of this built-in type can hold what `type:` says. Where it may hold several, the values decide.
pub(super) fn admits(kind: TagType, held: VariantScalarTypeId) -> bool {
    use VariantScalarTypeId as T;
    match kind {
        _ if held == T::Variant => true,
        TagType::Bool | TagType::Bit => held == T::Boolean,
        TagType::I8 => held == T::SByte,
        TagType::U8 => held == T::Byte,
        TagType::I16 => held == T::Int16,
        TagType::U16 => held == T::UInt16,
        TagType::I32 => held == T::Int32,
        TagType::U32 => matches!(held, T::UInt32 | T::StatusCode),
        TagType::I64 => held == T::Int64,
        TagType::U64 => held == T::UInt64,
        TagType::F32 => held == T::Float,
        TagType::F64 => held == T::Double,
        TagType::Text => matches!(
            held,
            T::String
                | T::LocalizedText
                | T::QualifiedName
                | T::DateTime
                | T::Guid
                | T::ByteString
                | T::XmlElement
                | T::NodeId
                | T::ExpandedNodeId
        ),
        TagType::Bcd16 | TagType::Bcd32 => false,
    }
}

/// How the settings call a built-in type; `None` for one that `type:` has no word for.
pub(super) fn word(held: VariantScalarTypeId) -> Option<TagType> {
    [
        TagType::Bool,
        TagType::I8,
        TagType::U8,
        TagType::I16,
        TagType::U16,
        TagType::I32,
        TagType::U32,
        TagType::I64,
        TagType::U64,
        TagType::F32,
        TagType::F64,
        TagType::Text,
    ]
    .into_iter()
    .find(|kind| held != VariantScalarTypeId::Variant && admits(*kind, held))
}

/// The data types whose numbers the standard fixes (OPC 10000-6, A.1).
fn standard(data_type: &NodeId) -> Option<VariantScalarTypeId> {
    use VariantScalarTypeId as T;
    let (0, Identifier::Numeric(number)) = (data_type.namespace, &data_type.identifier) else {
        return None;
    };
    Some(match number {
        1 => T::Boolean,
        2 => T::SByte,
        3 => T::Byte,
        4 => T::Int16,
        5 => T::UInt16,
        // Enumerations are Int32 on the wire.
        6 | 29 => T::Int32,
        7 => T::UInt32,
        8 => T::Int64,
        9 => T::UInt64,
        10 => T::Float,
        11 => T::Double,
        12 => T::String,
        13 => T::DateTime,
        14 => T::Guid,
        15 => T::ByteString,
        16 => T::XmlElement,
        17 => T::NodeId,
        18 => T::ExpandedNodeId,
        19 => T::StatusCode,
        20 => T::QualifiedName,
        21 => T::LocalizedText,
        22 => T::ExtensionObject,
        23 => T::DataValue,
        // BaseDataType, Number, Integer, UInteger: any of theirs.
        24 | 26..=28 => T::Variant,
        25 => T::DiagnosticInfo,
        _ => return None,
    })
}

/// Structures of the standard that every analogue value has beside it, for servers that do not define them.
fn well_known(data_type: &NodeId) -> Option<(NodeId, Layout)> {
    use VariantScalarTypeId as T;
    let (0, Identifier::Numeric(number)) = (data_type.namespace, &data_type.identifier) else {
        return None;
    };
    let (encoding, fields): (u32, &[(&str, T)]) = match number {
        884 => (886, &[("Low", T::Double), ("High", T::Double)]),
        887 => (
            889,
            &[
                ("NamespaceUri", T::String),
                ("UnitId", T::Int32),
                ("DisplayName", T::LocalizedText),
                ("Description", T::LocalizedText),
            ],
        ),
        _ => return None,
    };
    let field = |(name, kind): &(&str, T)| Field {
        name: (*name).to_owned(),
        of: Of::BuiltIn(*kind),
        rank: -1,
        optional: false,
    };
    let fields = fields.iter().map(field).collect();
    Some((
        NodeId::new(0, encoding),
        Layout {
            kind: Kind::All,
            fields,
        },
    ))
}

/// The definition of a structure, and whether it is abstract.
async fn definition(
    wire: &mut Wire,
    data_type: &NodeId,
) -> Result<Option<(StructureDefinition, bool)>, Trouble> {
    let asked = [AttributeId::DataTypeDefinition, AttributeId::IsAbstract]
        .map(|attribute| ReadValueId::new(data_type.clone(), attribute));
    let answer = services::read(wire, &asked, TimestampsToReturn::Neither, MAX_NODES).await?;
    let is_abstract = matches!(value(answer.get(1)), Some(Variant::Boolean(true)));
    Ok(match value(answer.first()) {
        Some(Variant::ExtensionObject(object)) => object
            .inner_as::<StructureDefinition>()
            .map(|found| (found.clone(), is_abstract)),
        _ => None,
    })
}

fn value(answer: Option<&DataValue>) -> Option<&Variant> {
    answer.and_then(|answer| answer.value.as_ref())
}

/// The one node that refers to this one so.
async fn related(
    wire: &mut Wire,
    node: &NodeId,
    reference: ReferenceTypeId,
) -> Result<Option<NodeId>, Trouble> {
    let asked = BrowseDescription {
        node_id: node.clone(),
        browse_direction: BrowseDirection::Inverse,
        reference_type_id: reference.into(),
        include_subtypes: false,
        node_class_mask: 0,
        result_mask: BrowseResultMask::None as u32,
    };
    let answer = services::browse(wire, vec![asked], 1).await?;
    let Some(result) = answer.into_iter().next() else {
        return Ok(None);
    };
    if !result.continuation_point.is_null_or_empty() {
        services::browse_next(wire, result.continuation_point, true).await?;
    }
    let first = result.references.and_then(|all| all.into_iter().next());
    Ok(first.map(|reference| reference.node_id.node_id))
}
