//! One field out of a structure that only the server knows: its bytes, read by the definitions of its data types
//! (OPC 10000-6, 5.2.6 and 5.2.7).
//!
//! Pure. `types` asks the server for the definitions. The library's own decoder is not used: it follows a type that
//! contains itself until the stack is full, and cannot tell which member of a union is there.

use super::limits::{MAX_ARRAY, MAX_DEPTH, MAX_STRING};
use crate::model::BadReason;
use opcua::types::{
    BinaryDecodable, ByteString, ByteStringBody, Context, DataValue, DateTime, DiagnosticInfo,
    DynEncodable, EncodingResult, Error, ExpandedNodeId, ExtensionObject, GeneratedTypeLoader,
    Guid, LocalizedText, NodeId, ObjectId, QualifiedName, StatusCode, TypeLoader,
    TypeLoaderPriority, UAString, Variant, VariantScalarTypeId, XmlElement,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Most fields that are gone through for one value.
const MAX_STEPS: usize = 100_000;
/// What is not left unread.
const READ: [ObjectId; 3] = [
    ObjectId::DataChangeNotification_Encoding_DefaultBinary,
    ObjectId::StatusChangeNotification_Encoding_DefaultBinary,
    ObjectId::StructureDefinition_Encoding_DefaultBinary,
];

/// Keeps the bytes of a structure as they came, if they are not too many. News of a subscription, which `skim` has seen to
/// the bottom, and definitions of structures, in which nothing is nested, are read.
pub(super) struct Unread;

impl TypeLoader for Unread {
    fn load_from_binary(
        &self,
        encoding: &NodeId,
        stream: &mut dyn std::io::Read,
        context: &Context<'_>,
        length: Option<usize>,
    ) -> Option<EncodingResult<Box<dyn DynEncodable>>> {
        if READ.map(NodeId::from).contains(encoding) {
            return GeneratedTypeLoader.load_from_binary(encoding, stream, context, length);
        }
        let length = length?;
        if length > MAX_STRING {
            return Some(Err(Error::decoding(
                "a structure that is longer than allowed",
            )));
        }
        let mut bytes = vec![0; length];
        if let Err(error) = stream.read_exact(&mut bytes) {
            return Some(Err(error.into()));
        }
        let body = ByteStringBody::new(ByteString::from(bytes), encoding.clone());
        Some(Ok(Box::new(body)))
    }

    fn priority(&self) -> TypeLoaderPriority {
        TypeLoaderPriority::Dynamic(100)
    }
}

/// How the values of a structure follow one another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) kind: Kind,
    pub(super) fields: Vec<Field>,
}

/// Which of the fields are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All.
    All,
    /// Those of the optional ones whose bit is set.
    Optional,
    /// The one whose number comes first.
    Union,
}

/// A field.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) of: Of,
    /// -1 a single value, 1 an array; others are not read (OPC 10000-3, 5.6.2).
    pub(super) rank: i32,
    pub(super) optional: bool,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Of {
    /// One of the built-in types.
    BuiltIn(VariantScalarTypeId),
    /// A structure of this data type, without a head.
    Structure(NodeId),
}

/// The structures that are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Layouts {
    by_type: HashMap<NodeId, Arc<Layout>>,
    by_encoding: HashMap<NodeId, Arc<Layout>>,
}

impl Layouts {
    /// Adds a data type; `encoding` is what its values are marked with.
    pub(super) fn add(&mut self, data_type: NodeId, encoding: Option<NodeId>, layout: Layout) {
        let layout = Arc::new(layout);
        if let Some(encoding) = encoding {
            self.by_encoding.insert(encoding, Arc::clone(&layout));
        }
        self.by_type.insert(data_type, layout);
    }

    /// Says which data type an encoding belongs to.
    pub(super) fn mark(&mut self, encoding: NodeId, data_type: &NodeId) {
        if let Some(layout) = self.by_type.get(data_type) {
            self.by_encoding.insert(encoding, Arc::clone(layout));
        }
    }

    /// The layout of a data type.
    pub(super) fn of_type(&self, data_type: &NodeId) -> Option<&Arc<Layout>> {
        self.by_type.get(data_type)
    }

    /// Whether values with this mark can be read.
    pub(super) fn knows(&self, encoding: &NodeId) -> bool {
        self.by_encoding.contains_key(encoding)
    }

    /// How many data types are known.
    pub(super) fn len(&self) -> usize {
        self.by_type.len()
    }

    /// The value at `path` in a value. `index` is the element of the first array on the way.
    ///
    /// # Errors
    /// `Malformed`: there is no such field, no such element, or the bytes are not what the server says they are.
    pub(super) fn dig(
        &self,
        value: &Variant,
        path: &[String],
        index: Option<usize>,
        context: &Context<'_>,
    ) -> Result<Variant, BadReason> {
        let mut dig = Dig {
            layouts: self,
            context,
            index,
            steps: 0,
        };
        dig.reach_value(value, path, 0)
    }
}

/// What a structure is marked with.
pub(super) fn encoding(object: &ExtensionObject) -> Option<NodeId> {
    object
        .body
        .as_ref()
        .map(|body| body.binary_type_id().node_id)
}

/// The structure in a value: itself, or the first one of an array of them.
pub(super) fn structure(value: &Variant) -> Option<&ExtensionObject> {
    match value {
        Variant::ExtensionObject(object) => Some(object),
        Variant::Variant(inner) => match inner.as_ref() {
            Variant::ExtensionObject(object) => Some(object),
            _ => None,
        },
        Variant::Array(array) => match array.values.first() {
            Some(Variant::ExtensionObject(object)) => Some(object),
            _ => None,
        },
        _ => None,
    }
}

/// One way down into a value.
struct Dig<'a> {
    layouts: &'a Layouts,
    context: &'a Context<'a>,
    /// Not used yet.
    index: Option<usize>,
    steps: usize,
}

impl Dig<'_> {
    fn reach_value(
        &mut self,
        value: &Variant,
        path: &[String],
        depth: u64,
    ) -> Result<Variant, BadReason> {
        match value {
            Variant::Array(_) => {
                let index = self.index.take().ok_or(BadReason::Malformed)?;
                let element = super::value::element(value, index)?;
                self.deeper(depth)?;
                self.reach_value(element, path, depth + 1)
            }
            _ if path.is_empty() && self.index.is_none() => Ok(value.clone()),
            Variant::Variant(inner) => {
                self.deeper(depth)?;
                self.reach_value(inner, path, depth + 1)
            }
            Variant::ExtensionObject(object) => self.reach_object(object, path, depth),
            _ => Err(BadReason::Malformed),
        }
    }

    fn reach_object(
        &mut self,
        object: &ExtensionObject,
        path: &[String],
        depth: u64,
    ) -> Result<Variant, BadReason> {
        let body = object.body.as_ref().ok_or(BadReason::Malformed)?;
        let encoding = body.binary_type_id().node_id;
        let layouts = self.layouts;
        let layout = layouts
            .by_encoding
            .get(&encoding)
            .ok_or(BadReason::Malformed)?;
        // What the library has read already is written again: so there is one way to read a structure.
        let mut written = Vec::new();
        let bytes = match object.inner_as::<ByteStringBody>() {
            Some(unread) => unread.raw_body().as_ref(),
            None => {
                body.encode_binary(&mut written, self.context)
                    .map_err(|_| BadReason::Malformed)?;
                written.as_slice()
            }
        };
        let mut stream = bytes;
        self.reach_structure(layout, &mut stream, path, depth)
    }

    /// Goes to the field of a structure that the path names next.
    fn reach_structure(
        &mut self,
        layout: &Layout,
        stream: &mut &[u8],
        path: &[String],
        depth: u64,
    ) -> Result<Variant, BadReason> {
        let (name, rest) = path.split_first().ok_or(BadReason::Malformed)?;
        self.deeper(depth)?;
        for field in self.present(layout, stream)? {
            if field.name == *name {
                return self.reach_field(field, stream, rest, depth + 1);
            }
            self.skip_field(field, stream, depth + 1)?;
        }
        Err(BadReason::Malformed)
    }

    /// The fields that follow in the bytes.
    fn present<'l>(
        &mut self,
        layout: &'l Layout,
        stream: &mut &[u8],
    ) -> Result<Vec<&'l Field>, BadReason> {
        Ok(match layout.kind {
            Kind::All => layout.fields.iter().collect(),
            Kind::Optional => {
                let mask = self.decode::<u32>(stream)?;
                let mut bit = 0;
                let mut there = |field: &&Field| {
                    if !field.optional {
                        return true;
                    }
                    let set = mask.checked_shr(bit).unwrap_or(0) & 1 == 1;
                    bit += 1;
                    set
                };
                layout.fields.iter().filter(|field| there(field)).collect()
            }
            Kind::Union => {
                let number = usize::try_from(self.decode::<u32>(stream)?).unwrap_or(usize::MAX);
                let field = number
                    .checked_sub(1)
                    .and_then(|place| layout.fields.get(place));
                field.into_iter().collect()
            }
        })
    }

    fn reach_field(
        &mut self,
        field: &Field,
        stream: &mut &[u8],
        path: &[String],
        depth: u64,
    ) -> Result<Variant, BadReason> {
        let Some(length) = self.elements(field, stream)? else {
            return self.reach_element(&field.of, stream, path, depth);
        };
        let index = self.index.take().filter(|index| *index < length);
        let index = index.ok_or(BadReason::Malformed)?;
        for _ in 0..index {
            self.skip(&field.of, stream, depth)?;
        }
        self.reach_element(&field.of, stream, path, depth)
    }

    fn reach_element(
        &mut self,
        of: &Of,
        stream: &mut &[u8],
        path: &[String],
        depth: u64,
    ) -> Result<Variant, BadReason> {
        match of {
            Of::BuiltIn(kind) => {
                let value = self.built_in(*kind, stream)?;
                self.reach_value(&value, path, depth)
            }
            Of::Structure(data_type) => {
                let layouts = self.layouts;
                let layout = layouts.by_type.get(data_type).ok_or(BadReason::Malformed)?;
                self.reach_structure(layout, stream, path, depth)
            }
        }
    }

    /// How many elements follow; `None` for a single value.
    fn elements(&mut self, field: &Field, stream: &mut &[u8]) -> Result<Option<usize>, BadReason> {
        self.step()?;
        match field.rank {
            -1 => Ok(None),
            1 => {
                let length = self.decode::<i32>(stream)?.max(0);
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if length > MAX_ARRAY {
                    Err(BadReason::Malformed)
                } else {
                    Ok(Some(length))
                }
            }
            _ => Err(BadReason::Malformed),
        }
    }

    fn skip_field(
        &mut self,
        field: &Field,
        stream: &mut &[u8],
        depth: u64,
    ) -> Result<(), BadReason> {
        for _ in 0..self.elements(field, stream)?.unwrap_or(1) {
            self.skip(&field.of, stream, depth)?;
        }
        Ok(())
    }

    fn skip(&mut self, of: &Of, stream: &mut &[u8], depth: u64) -> Result<(), BadReason> {
        match of {
            Of::BuiltIn(kind) => self.built_in(*kind, stream).map(drop),
            Of::Structure(data_type) => {
                self.step()?;
                self.deeper(depth)?;
                let layouts = self.layouts;
                let layout = layouts.by_type.get(data_type).ok_or(BadReason::Malformed)?;
                for field in self.present(layout, stream)? {
                    self.skip_field(field, stream, depth + 1)?;
                }
                Ok(())
            }
        }
    }

    fn built_in(
        &mut self,
        kind: VariantScalarTypeId,
        stream: &mut &[u8],
    ) -> Result<Variant, BadReason> {
        use VariantScalarTypeId as T;
        self.step()?;
        Ok(match kind {
            T::Boolean => self.decode::<bool>(stream)?.into(),
            T::SByte => self.decode::<i8>(stream)?.into(),
            T::Byte => self.decode::<u8>(stream)?.into(),
            T::Int16 => self.decode::<i16>(stream)?.into(),
            T::UInt16 => self.decode::<u16>(stream)?.into(),
            T::Int32 => self.decode::<i32>(stream)?.into(),
            T::UInt32 => self.decode::<u32>(stream)?.into(),
            T::Int64 => self.decode::<i64>(stream)?.into(),
            T::UInt64 => self.decode::<u64>(stream)?.into(),
            T::Float => self.decode::<f32>(stream)?.into(),
            T::Double => self.decode::<f64>(stream)?.into(),
            T::String => self.decode::<UAString>(stream)?.into(),
            T::DateTime => self.decode::<DateTime>(stream)?.into(),
            T::Guid => self.decode::<Guid>(stream)?.into(),
            T::ByteString => self.decode::<ByteString>(stream)?.into(),
            T::XmlElement => self.decode::<XmlElement>(stream)?.into(),
            T::NodeId => self.decode::<NodeId>(stream)?.into(),
            T::ExpandedNodeId => self.decode::<ExpandedNodeId>(stream)?.into(),
            T::StatusCode => self.decode::<StatusCode>(stream)?.into(),
            T::QualifiedName => self.decode::<QualifiedName>(stream)?.into(),
            T::LocalizedText => self.decode::<LocalizedText>(stream)?.into(),
            T::ExtensionObject => self.decode::<ExtensionObject>(stream)?.into(),
            T::DataValue => self.decode::<DataValue>(stream)?.into(),
            T::Variant => self.decode::<Variant>(stream)?,
            T::DiagnosticInfo => self.decode::<DiagnosticInfo>(stream)?.into(),
        })
    }

    fn decode<T: BinaryDecodable>(&self, stream: &mut &[u8]) -> Result<T, BadReason> {
        T::decode(stream, self.context).map_err(|_| BadReason::Malformed)
    }

    fn step(&mut self) -> Result<(), BadReason> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            Err(BadReason::Malformed)
        } else {
            Ok(())
        }
    }

    fn deeper(&self, depth: u64) -> Result<(), BadReason> {
        if depth < MAX_DEPTH {
            Ok(())
        } else {
            Err(BadReason::Malformed)
        }
    }
}

/// An array of the elements, for tests of others.
#[cfg(test)]
pub(super) fn array(kind: VariantScalarTypeId, values: Vec<Variant>) -> Variant {
    Variant::Array(Box::new(
        opcua::types::Array::new(kind, values).expect("of one kind"),
    ))
}

#[cfg(test)]
mod tests;
