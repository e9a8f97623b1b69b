//! Namespaces of a server: their index moves with a firmware update, their URI does not.
//!
//! Pure. The table is read at each connect.

use crate::settings::{Namespace, Node};
use opcua::types::{ByteString, Guid, Identifier, NodeId, UAString, Variant};
use std::str::FromStr;

/// Most characters of the list of a server's namespaces in a message.
const MAX_SHOWN: usize = 160;

/// The server's namespaces, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Namespaces(Vec<String>);

impl Namespaces {
    /// From what the server's `NamespaceArray` holds; `None` when that is no list of texts.
    pub(super) fn of(array: &Variant) -> Option<Namespaces> {
        let Variant::Array(array) = array else {
            return None;
        };
        let text = |one: &Variant| match one {
            Variant::String(uri) => Some(uri.as_ref().to_owned()),
            _ => None,
        };
        array
            .values
            .iter()
            .map(text)
            .collect::<Option<Vec<_>>>()
            .map(Namespaces)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in the server's order.
    pub(super) fn uris(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The server's own id of a node of the settings.
    ///
    /// # Errors
    /// Why it has none, in words.
    pub(super) fn resolve(&self, node: &Node) -> Result<NodeId, String> {
        let namespace = match &node.namespace {
            Namespace::Index(index) => *index,
            Namespace::Uri(uri) => self.index(uri)?,
        };
        let identifier = identifier(&node.identifier)
            .ok_or_else(|| format!("`{}` is no identifier", node.identifier))?;
        Ok(NodeId {
            namespace,
            identifier,
        })
    }

    fn index(&self, uri: &str) -> Result<u16, String> {
        let found = self.0.iter().position(|one| one == uri);
        if let Some(index) = found.and_then(|place| u16::try_from(place).ok()) {
            return Ok(index);
        }
        let mut known = self.0.join(", ");
        if let Some((cut, _)) = known.char_indices().nth(MAX_SHOWN) {
            known.truncate(cut);
            known.push_str("...");
        }
        Err(format!("the server has no namespace {uri}, only {known}"))
    }

    /// A node as the settings would write it, by URI where it has one.
    pub(super) fn node(&self, id: &NodeId) -> Node {
        let namespace = match (id.namespace, self.0.get(usize::from(id.namespace))) {
            (0, _) | (_, None) => Namespace::Index(id.namespace),
            (_, Some(uri)) => Namespace::Uri(uri.clone()),
        };
        Node {
            namespace,
            identifier: id.identifier.to_string(),
        }
    }
}

/// `i=85`, `s=Filler.Speed`, `g=...`, `b=...` (OPC 10000-6, 5.3.1.10).
fn identifier(text: &str) -> Option<Identifier> {
    let (kind, rest) = text.split_once('=')?;
    Some(match kind {
        "i" => Identifier::Numeric(rest.parse().ok()?),
        "s" => Identifier::String(UAString::from(rest)),
        "g" => Identifier::Guid(Guid::from_str(rest).ok()?),
        "b" => Identifier::ByteString(ByteString::from_base64(rest)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{Array, VariantScalarTypeId};

    fn server() -> Namespaces {
        let uris = [
            "http://opcfoundation.org/UA/",
            "urn:press",
            "http://acme.example/line/",
        ];
        let values: Vec<Variant> = uris.into_iter().map(Variant::from).collect();
        let array = Array::new(VariantScalarTypeId::String, values).unwrap();
        Namespaces::of(&Variant::Array(Box::new(array))).unwrap()
    }

    fn node(namespace: Namespace, identifier: &str) -> Node {
        Node {
            namespace,
            identifier: identifier.to_owned(),
        }
    }

    #[test]
    fn a_node_is_found_by_the_uri_of_its_namespace() {
        let acme = Namespace::Uri("http://acme.example/line/".into());
        let found = server().resolve(&node(acme.clone(), "s=Filler.Speed=1"));
        assert_eq!(found, Ok(NodeId::new(2, "Filler.Speed=1")));
        assert_eq!(
            server().node(&found.unwrap()),
            node(acme, "s=Filler.Speed=1")
        );
        let clock = server().resolve(&node(Namespace::Index(0), "i=2258"));
        assert_eq!(clock, Ok(NodeId::new(0, 2258_u32)));
    }

    #[test]
    fn every_kind_of_identifier_goes_there_and_back() {
        for text in [
            "i=85",
            "s=a b;c",
            "g=72962b91-fa75-4ae6-8d28-b404dc7daf63",
            "b=AQID",
        ] {
            let there = node(Namespace::Index(3), text);
            let id = server().resolve(&there).unwrap();
            assert_eq!(server().node(&id), there, "{text}");
        }
        assert!(
            server()
                .resolve(&node(Namespace::Index(0), "b=***"))
                .is_err()
        );
    }

    #[test]
    fn an_unknown_namespace_names_those_that_are_there() {
        let error = server().resolve(&node(Namespace::Uri("urn:pres".into()), "i=1"));
        assert_eq!(
            error.unwrap_err(),
            "the server has no namespace urn:pres, only http://opcfoundation.org/UA/, urn:press, http://acme.example/line/"
        );
    }

    #[test]
    fn what_is_no_table_is_none() {
        assert_eq!(Namespaces::of(&Variant::from("urn:press")), None);
        let numbers = Array::new(VariantScalarTypeId::Int32, vec![Variant::from(1)]).unwrap();
        assert_eq!(Namespaces::of(&Variant::Array(Box::new(numbers))), None);
    }
}
