//! `millgate browse opc.tcp://...`: walks the objects of a server and prints a tag for each variable.
//!
//! Bounded in depth and number, each node once. What the standard itself puts into every server is left out.

use super::yaml::quoted;
use crate::acquire::opc_ua::{Child, Class, Client, Look, Reach};
use crate::commands::probe::table::number;
use crate::commands::terminal::{self, Progress};
use crate::commands::{Exit, Failure, session};
use crate::model::LinkError;
use crate::settings::{Namespace, Node};
use indexmap::IndexMap;
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::fmt::Write;

/// Values that are read at once.
const READ_AT_ONCE: usize = 100;
/// The URI of the standard's own nodes.
const STANDARD: &str = "http://opcfoundation.org/UA/";
/// Where comments begin.
const COMMENT_COLUMN: usize = 64;

/// How far it goes and how it is told.
pub(super) struct Wish {
    pub(super) endpoint: String,
    /// Security and user are those of the settings: nothing to be flagged.
    pub(super) insecure: bool,
    pub(super) depth: usize,
    pub(super) nodes: usize,
    pub(super) json: bool,
}

/// A variable that was found.
struct Found {
    child: Child,
    look: Look,
}

/// Walks and prints what was found.
///
/// # Errors
/// 69 when the session breaks.
pub(super) async fn browse(mut client: Client, wish: &Wish) -> Result<(), Failure> {
    let mut progress = Progress::new();
    let walked = walk(&mut client, wish, &mut progress).await;
    client.close().await;
    progress.clear();
    let (found, all) = walked.map_err(|error| Failure::new(Exit::Unavailable, error))?;
    if wish.json {
        let nodes: Vec<Json> = found.iter().map(report).collect();
        let whole = json!({ "url": wish.endpoint, "complete": all, "variables": nodes });
        return terminal::print(&format!("{whole:#}\n"));
    }
    let left_out = if all {
        ""
    } else {
        "; there are more: --most and --depth go further"
    };
    terminal::print_error(&format!(
        "{}: {} variables{left_out}\n",
        wish.endpoint,
        found.len()
    ))?;
    terminal::print(&devices(wish, &found))
}

/// The variables, and whether those are all.
async fn walk(
    client: &mut Client,
    wish: &Wish,
    progress: &mut Progress,
) -> Result<(Vec<Found>, bool), LinkError> {
    let tops = client.browse(&Client::objects(), wish.nodes).await?;
    let mut variables = Vec::new();
    let mut left = wish.nodes;
    for top in tops.found.into_iter().filter(|top| !is_standard(&top.node)) {
        let reach = Reach {
            depth: wish.depth.saturating_sub(1),
            nodes: left,
        };
        let count = wish.nodes - left;
        let below = client
            .walk(&top.node, reach, |so_far| {
                progress.show(&format!("{} nodes", count + so_far))
            })
            .await?;
        left = left.saturating_sub(below.len() + 1);
        variables.push(top);
        variables.extend(below.into_iter().map(|(_, child)| child));
    }
    variables.retain(|child| child.class == Class::Variable && !is_standard(&child.node));
    let mut found = Vec::with_capacity(variables.len());
    for some in variables.chunks(READ_AT_ONCE) {
        progress.show(&format!("{} of {} values", found.len(), variables.len()));
        let nodes: Vec<Node> = some.iter().map(|child| child.node.clone()).collect();
        let looks = client.read(&nodes).await?;
        let both = some.iter().cloned().zip(looks);
        found.extend(both.map(|(child, look)| Found { child, look }));
    }
    Ok((found, left > 0 && !tops.more))
}

fn is_standard(node: &Node) -> bool {
    match &node.namespace {
        Namespace::Uri(uri) => uri == STANDARD,
        Namespace::Index(index) => *index == 0,
    }
}

fn report(found: &Found) -> Json {
    json!({
        "node": session::written(&found.child.node),
        "name": found.child.name,
        "type": found.child.kind.or(found.look.kind),
        "elements": found.look.elements,
        "structure": found.look.structure,
        "value": found.look.value.as_ref().ok().map(crate::commands::probe::report::number),
        "status": found.look.status,
    })
}

/// The block of the settings.
fn devices(wish: &Wish, found: &[Found]) -> String {
    let prefixes = prefixes(found);
    let mut text = format!(
        "devices:\n  server:\n    opc_ua:\n      endpoint: {}\n",
        quoted(&wish.endpoint)
    );
    if wish.insecure {
        text += "      security: { policy: None, mode: None }\n      insecure: true   # anyone on the way may read and change the values\n";
    }
    if !prefixes.is_empty() {
        text += "      namespaces:\n";
        for (uri, prefix) in &prefixes {
            let _infallible = writeln!(text, "        {prefix}: {}", quoted(uri));
        }
    }
    text += "    tags:\n";
    let mut names = HashMap::new();
    for one in found {
        text += &line(one, &prefixes, &mut names);
    }
    text
}

/// A prefix for each namespace.
fn prefixes(found: &[Found]) -> IndexMap<&str, String> {
    let mut prefixes = IndexMap::new();
    for one in found {
        if let Namespace::Uri(uri) = &one.child.node.namespace {
            let next = format!("ns{}", prefixes.len() + 1);
            prefixes.entry(uri.as_str()).or_insert(next);
        }
    }
    prefixes
}

fn line(
    found: &Found,
    prefixes: &IndexMap<&str, String>,
    names: &mut HashMap<String, u32>,
) -> String {
    let Found { child, look } = found;
    let node = match &child.node.namespace {
        Namespace::Uri(uri) => format!(
            "{}:{}",
            prefixes.get(uri.as_str()).map_or("", String::as_str),
            child.node.identifier
        ),
        Namespace::Index(_) => session::written(&child.node),
    };
    let name = unique(&child.name, names);
    let kind = child.kind.or(look.kind);
    let kind = kind.and_then(|kind| serde_json::to_value(kind).ok()?.as_str().map(str::to_owned));
    let value = match &look.value {
        Ok(value) => number(value),
        Err(reason) if look.status == "Good" => format!("no value ({})", reason.word()),
        Err(_) => look.status.clone(),
    };
    if look.structure || kind.is_none() {
        let what = if look.structure {
            "a structure: name one of its fields with `field:`"
        } else {
            "no type that a tag can have"
        };
        return format!("      # {name}: {{ node: {} }}   # {what}\n", quoted(&node));
    }
    let index = if child.array || look.elements.is_some() {
        ", index: 0"
    } else {
        ""
    };
    let line = format!(
        "      {name}: {{ node: {}, type: {}{index} }}",
        quoted(&node),
        kind.unwrap_or_default()
    );
    format!("{line:<COMMENT_COLUMN$}  # {value}\n")
}

/// The name as a tag's: letters, digits and low lines, none twice.
fn unique(name: &str, names: &mut HashMap<String, u32>) -> String {
    let mut tag: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '_'
            }
        })
        .take(60)
        .collect();
    if !tag.starts_with(|c: char| c.is_ascii_alphabetic()) {
        tag.insert_str(0, "tag_");
    }
    let count = names.entry(tag.clone()).or_insert(0);
    *count += 1;
    if *count == 1 {
        tag
    } else {
        unique(&format!("{tag}_{count}"), names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;
    use crate::settings;
    use crate::settings::shape::TagType;

    fn found(name: &str, kind: Option<TagType>, elements: Option<usize>) -> Found {
        let node = Node {
            namespace: Namespace::Uri("urn:acme:filler".into()),
            identifier: format!("s=Filler.{name}"),
        };
        Found {
            child: Child {
                node,
                name: name.into(),
                shown: name.into(),
                class: Class::Variable,
                kind,
                array: elements.is_some(),
            },
            look: Look {
                value: Ok(Value::Float(21.3)),
                kind,
                elements,
                structure: false,
                status: "Good".into(),
                source: None,
                server: None,
            },
        }
    }

    #[test]
    fn what_is_printed_is_accepted_by_check() {
        let wish = Wish {
            endpoint: "opc.tcp://10.0.0.7:4840".into(),
            insecure: true,
            depth: 8,
            nodes: 100,
            json: false,
        };
        let all = [
            found("Speed", Some(TagType::F64), None),
            found("Speed", Some(TagType::I32), None),
            found("1 \"odd\" name", Some(TagType::Text), None),
            found("Rows", Some(TagType::F32), Some(3)),
            found("Recipe", None, None),
        ];
        let devices = devices(&wish, &all);
        assert!(
            devices.contains(r#"speed_2: { node: "ns1:s=Filler.Speed", type: i32 }"#),
            "{devices}"
        );
        assert!(devices.contains("      # recipe: "), "{devices}");
        let text = format!(
            "gateway: {{ id: gw1, path: [acme] }}\nmachine: M1\n{devices}uplinks:\n  mes: {{ http: {{ url: \"http://127.0.0.1/\" }} }}\n"
        );
        let plant = settings::load(&text)
            .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
            .plant;
        assert_eq!(plant.tags.len(), 4);
    }
}
