//! A look into a server, for people who search for their tags: browse and read, nothing else.
//!
//! Used by `millgate browse` and `millgate probe`, with the same session, trust and limits as the driver. It knows no
//! library types: nodes are those of the settings.

use super::limits::MAX_NODES;
use super::prepare::{self, Server};
use super::quality::utc;
use super::services;
use super::session;
use super::types::{Types, word};
use super::value::value;
use super::wire::{Trouble, Wire};
use crate::acquire::driver::link_error;
use crate::clock::Clock;
use crate::model::{BadReason, LinkError, UtcTime, Value};
use crate::settings::shape::TagType;
use crate::settings::{Namespace, Node, OpcUa};
use opcua::types::{
    AttributeId, BrowseDescription, BrowseDirection, BrowseResultMask, DataValue, NodeClass,
    NodeId, ReadValueId, ReferenceDescription, ReferenceTypeId, TimestampsToReturn, Variant,
};
use std::collections::HashSet;
use std::path::Path;

/// Most references that are asked for at once.
const REFERENCES_PER_CALL: u32 = 500;

/// A session for looking around.
pub struct Client {
    wire: Wire,
    server: Server,
    types: Types,
}

/// A node, as its parent names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its id, by the URI of its namespace.
    pub node: Node,
    /// Its name for programs.
    pub name: String,
    /// Its name for people.
    pub shown: String,
    /// What it is.
    pub class: Class,
    /// For a variable: its type as the settings write it; `None` for a structure or one that may hold several.
    pub kind: Option<TagType>,
    /// For a variable: it holds an array.
    pub array: bool,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Something that has parts.
    Object,
    /// Something that has a value.
    Variable,
    /// Something that can be called, which Millgate never does.
    Method,
    /// A type or a view.
    Other,
}

/// The children of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Children {
    /// As many as were asked for.
    pub found: Vec<Child>,
    /// There are more.
    pub more: bool,
}

/// How far a walk goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Levels below the first node.
    pub depth: usize,
    /// Nodes in all.
    pub nodes: usize,
}

/// The value of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The value, or why there is none. Of an array: of its first element.
    pub value: Result<Value, BadReason>,
    /// Its type as the settings write it, where there is a word for it.
    pub kind: Option<TagType>,
    /// Elements of an array.
    pub elements: Option<usize>,
    /// It is a structure: its fields are read with `field:`.
    pub structure: bool,
    /// The server's verdict, such as `Good`.
    pub status: String,
    /// When the source says it was so.
    pub source: Option<UtcTime>,
    /// When the server says it was so.
    pub server: Option<UtcTime>,
}

impl Client {
    /// Opens a session as the driver would. `pki` is the folder of certificates.
    ///
    /// # Errors
    /// Why there is none, with what to do.
    pub async fn connect(settings: &OpcUa, pki: &Path) -> Result<Client, LinkError> {
        let mut wire = session::open(settings, pki, &Clock::system()).await?;
        match prepare::survey(&mut wire).await {
            Ok(server) => Ok(Client {
                wire,
                server,
                types: Types::default(),
            }),
            Err(error) => {
                session::close(wire).await;
                Err(error)
            }
        }
    }

    /// Where a tour begins: the folder of all objects.
    #[must_use]
    pub fn objects() -> Node {
        Node {
            namespace: Namespace::Index(0),
            identifier: "i=85".to_owned(),
        }
    }

    /// The URIs of the server's namespaces, in its order.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        self.server.namespaces.uris().map(str::to_owned).collect()
    }

    /// The children of a node, at most `most`.
    ///
    /// # Errors
    /// When there is no such node, or the connection breaks.
    pub async fn browse(&mut self, node: &Node, most: usize) -> Result<Children, LinkError> {
        let id = self.resolve(node)?;
        let (references, more) = self.references(id, most).await?;
        let found = self.children(references).await?;
        Ok(Children { found, more })
    }

    /// All nodes below one, each once, with the level at which it was met; `progress` is told how many there are so far.
    ///
    /// # Errors
    /// When there is no such node, or the connection breaks.
    pub async fn walk(
        &mut self,
        start: &Node,
        reach: Reach,
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<(usize, Child)>, LinkError> {
        let mut met: HashSet<NodeId> = HashSet::from([self.resolve(start)?]);
        let mut found = Vec::new();
        let mut next = vec![(0, self.browse(start, reach.nodes).await?.found)];
        while let Some((level, mut children)) = next.pop() {
            if children.is_empty() || found.len() >= reach.nodes {
                continue;
            }
            let child = children.remove(0);
            next.push((level, children));
            if !met.insert(self.resolve(&child.node)?) {
                continue;
            }
            let left = reach.nodes - found.len();
            if level + 1 < reach.depth && child.class != Class::Method {
                next.push((level + 1, self.browse(&child.node, left).await?.found));
            }
            found.push((level, child));
            progress(found.len());
        }
        Ok(found)
    }

    /// The values of nodes, in their order.
    ///
    /// # Errors
    /// When a namespace is unknown, or the connection breaks.
    pub async fn read(&mut self, nodes: &[Node]) -> Result<Vec<Look>, LinkError> {
        let ids: Result<Vec<NodeId>, LinkError> =
            nodes.iter().map(|node| self.resolve(node)).collect();
        let asked: Vec<ReadValueId> = ids?.into_iter().map(ReadValueId::new_value).collect();
        let both = TimestampsToReturn::Both;
        let values = services::read(&mut self.wire, &asked, both, self.server.nodes_per_read).await;
        let values = values.map_err(|trouble| trouble.into_link_error("to read"))?;
        Ok(values.iter().map(look).collect())
    }

    /// Ends the session; without it, the server keeps it for a minute.
    pub async fn close(self) {
        session::close(self.wire).await;
    }

    fn resolve(&self, node: &Node) -> Result<NodeId, LinkError> {
        let found = self.server.namespaces.resolve(node);
        found.map_err(|what| link_error("protocol", what))
    }

    /// Forward hierarchical references, gathered over as many answers as it takes.
    async fn references(
        &mut self,
        node: NodeId,
        most: usize,
    ) -> Result<(Vec<ReferenceDescription>, bool), LinkError> {
        let refused = |trouble: Trouble| trouble.into_link_error("to browse");
        let shown = node.to_string();
        let asked = BrowseDescription {
            node_id: node,
            browse_direction: BrowseDirection::Forward,
            reference_type_id: ReferenceTypeId::HierarchicalReferences.into(),
            include_subtypes: true,
            node_class_mask: 0,
            result_mask: BrowseResultMask::All as u32,
        };
        let results = services::browse(&mut self.wire, vec![asked], REFERENCES_PER_CALL).await;
        let mut result = results
            .map_err(refused)?
            .into_iter()
            .next()
            .unwrap_or_default();
        if result.status_code.is_bad() {
            let detail = format!(
                "{}: {shown} cannot be browsed: {}",
                self.wire.name(),
                result.status_code
            );
            return Err(link_error("protocol", detail));
        }
        let mut all = result.references.take().unwrap_or_default();
        while !result.continuation_point.is_null_or_empty() {
            let enough = all.len() >= most;
            let point = std::mem::take(&mut result.continuation_point);
            let next = services::browse_next(&mut self.wire, point, enough)
                .await
                .map_err(refused)?;
            if enough {
                return Ok((cut(all, most), true));
            }
            result = next.unwrap_or_default();
            let came = result.references.take().unwrap_or_default();
            if came.is_empty() {
                break;
            }
            all.extend(came);
        }
        let more = all.len() > most;
        Ok((cut(all, most), more))
    }

    /// What references lead to; of variables also their types.
    async fn children(
        &mut self,
        references: Vec<ReferenceDescription>,
    ) -> Result<Vec<Child>, LinkError> {
        let local: Vec<ReferenceDescription> = references
            .into_iter()
            .filter(|one| one.node_id.server_index == 0)
            .collect();
        let asked: Vec<ReadValueId> = local
            .iter()
            .filter(|one| one.node_class == NodeClass::Variable)
            .flat_map(|one| {
                [AttributeId::DataType, AttributeId::ValueRank]
                    .map(|attribute| ReadValueId::new(one.node_id.node_id.clone(), attribute))
            })
            .collect();
        let neither = TimestampsToReturn::Neither;
        let answers =
            services::read(&mut self.wire, &asked, neither, self.server.nodes_per_read).await;
        let answers = answers.map_err(|trouble| trouble.into_link_error("to say types"))?;
        let mut answers = answers.chunks(2);
        let mut children = Vec::with_capacity(local.len());
        for one in local {
            let (mut kind, mut array) = (None, false);
            if one.node_class == NodeClass::Variable {
                let answer = answers.next().unwrap_or_default();
                array = matches!(held(answer.get(1)), Some(Variant::Int32(rank)) if *rank >= 0);
                if let Some(Variant::NodeId(data_type)) = held(answer.first()) {
                    kind = self.kind(data_type).await?;
                }
            }
            children.push(Child {
                node: self.server.namespaces.node(&one.node_id.node_id),
                name: one.browse_name.name.as_ref().to_owned(),
                shown: one.display_name.text.as_ref().to_owned(),
                class: class(one.node_class),
                kind,
                array,
            });
        }
        Ok(children)
    }

    async fn kind(&mut self, data_type: &NodeId) -> Result<Option<TagType>, LinkError> {
        match self.types.built_in(&mut self.wire, data_type).await {
            Ok(found) => Ok(found.and_then(word)),
            Err(Trouble::Refused(_)) => Ok(None),
            Err(Trouble::Broken(error)) => Err(error),
        }
    }
}

fn cut(mut references: Vec<ReferenceDescription>, most: usize) -> Vec<ReferenceDescription> {
    references.truncate(most.min(MAX_NODES * 10));
    references
}

fn class(class: NodeClass) -> Class {
    match class {
        NodeClass::Object => Class::Object,
        NodeClass::Variable => Class::Variable,
        NodeClass::Method => Class::Method,
        _ => Class::Other,
    }
}

fn look(answer: &DataValue) -> Look {
    let status = answer.status.unwrap_or_default();
    let (held, elements) = match held(Some(answer)) {
        Some(Variant::Array(array)) => (array.values.first(), Some(array.values.len())),
        other => (other, None),
    };
    let kind = held.and_then(|held| match held.type_id() {
        opcua::types::VariantTypeId::Scalar(kind) => word(kind),
        _ => None,
    });
    Look {
        value: if status.is_bad() {
            Err(BadReason::Source)
        } else {
            value(held.unwrap_or(&Variant::Empty))
        },
        kind,
        elements,
        structure: matches!(held, Some(Variant::ExtensionObject(_))),
        status: status.to_string(),
        source: answer.source_timestamp.as_ref().and_then(utc),
        server: answer.server_timestamp.as_ref().and_then(utc),
    }
}

fn held(answer: Option<&DataValue>) -> Option<&Variant> {
    answer.and_then(|answer| answer.value.as_ref())
}
