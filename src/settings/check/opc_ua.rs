//! `opc_ua:`: the endpoint, how it is protected, and which node a tag is.

use super::{join, url};
use crate::model::ValueKind;
use crate::settings::plant::{Namespace, Node, OpcUa, OpcUaUser, Variable};
use crate::settings::problem::shown;
use crate::settings::report::Report;
use crate::settings::shape::{self, SecurityMode, SecurityPolicy, TagType};
use crate::settings::units::Period;
use std::time::Duration;

/// Shortest and longest publishing interval.
const PUBLISHING: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(60));
/// Shortest and longest wait for an answer.
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// Most elements that a queue is made for by itself.
const MAX_QUEUE: u32 = 10_000;

/// How a server is reached.
pub(super) fn check(shape: &shape::OpcUa, path: &str, report: &mut Report) -> OpcUa {
    endpoint(&shape.endpoint, &join(path, "endpoint"), report);
    namespaces(shape, &join(path, "namespaces"), report);
    limits(shape, path, report);
    let security = security(shape, path, report);
    let user = match (&shape.user, &shape.certificate) {
        (Some(_), Some(_)) => {
            report.add(
                path,
                "`user` and `certificate` stand here together: write one of them",
            );
            OpcUaUser::Anonymous
        }
        (Some(user), None) => OpcUaUser::Password(user.clone()),
        (None, Some(certificate)) => OpcUaUser::Certificate(certificate.clone()),
        (None, None) => OpcUaUser::Anonymous,
    };
    OpcUa {
        endpoint: shape.endpoint.clone(),
        security,
        user,
        read: shape.read,
        publishing_interval: shape.publishing_interval.get(),
        timeout: shape.timeout.get(),
    }
}

/// `opc.tcp://host[:port][/path]`
fn endpoint(text: &str, path: &str, report: &mut Report) {
    let fault = match url::parse(text) {
        Ok(url) if url.scheme == "opc.tcp" => return,
        Ok(url) => format!(
            "{} is not how OPC UA is reached here: write",
            shown(&format!("{}://", url.scheme))
        ),
        Err(fault) => fault,
    };
    report.add(path, format!("{fault} `opc.tcp://HOST:4840`"));
}

/// Prefixes that mean something else in a node id, and those that lead nowhere.
fn namespaces(shape: &shape::OpcUa, path: &str, report: &mut Report) {
    for (prefix, uri) in &shape.namespaces {
        let at = join(path, prefix);
        if ["i", "s", "g", "b", "ns", "nsu"].contains(&prefix.as_str()) {
            let message = format!(
                "`{prefix}` already means something in node ids: call the prefix otherwise"
            );
            report.add(&at, message);
        } else if prefix.is_empty() || prefix.contains([':', '=', ';']) {
            let message = format!(
                "{} cannot stand before a node: use letters and digits",
                shown(prefix)
            );
            report.add(&at, message);
        }
        if uri.trim().is_empty() {
            report.add(&at, "which URI? `millgate browse` shows those of a server");
        }
    }
}

/// Intervals that no server keeps and time limits that nobody can wait for.
fn limits(shape: &shape::OpcUa, path: &str, report: &mut Report) {
    let keys = [
        (
            "publishing_interval",
            shape.publishing_interval.get(),
            PUBLISHING,
        ),
        ("timeout", shape.timeout.get(), TIMEOUT),
    ];
    for (key, given, (least, most)) in keys {
        if (least..=most).contains(&given) {
            continue;
        }
        let at = join(path, key);
        let message = format!(
            "{} is out of range: {} to {}",
            report.written(&at),
            String::from(Period::rounded(least)),
            String::from(Period::rounded(most))
        );
        report.add(at, message);
    }
}

/// What protects the messages; nothing does only where the file says that this is wanted.
fn security(shape: &shape::OpcUa, path: &str, report: &mut Report) -> shape::Security {
    let none = shape::Security {
        policy: SecurityPolicy::None,
        mode: SecurityMode::None,
    };
    let security = match shape.security {
        Some(security) => security,
        None if shape.insecure => none,
        None => shape::Security::default(),
    };
    let at = join(path, "security");
    match (security.policy, security.mode) {
        (SecurityPolicy::None, SecurityMode::None) if shape.insecure => {}
        (SecurityPolicy::None, SecurityMode::None) => report.add(
            at,
            "without security anyone on the way may read and change the values: write `insecure: true` beside it if that is meant",
        ),
        (SecurityPolicy::None, _) | (_, SecurityMode::None) => report.add(
            at,
            "`policy: None` and `mode: None` go together: the one without the other is nothing",
        ),
        _ if shape.insecure => report.add(
            join(path, "insecure"),
            "`security` protects the messages, so `insecure: true` says nothing: leave it out",
        ),
        _ => {}
    }
    security
}

/// What the raw values of a tag are, as far as the settings say.
pub(super) fn raw_kind(tag: &shape::Tag) -> ValueKind {
    if tag.state_machine {
        return ValueKind::Text;
    }
    match tag.kind {
        None => ValueKind::Any,
        Some(TagType::Bit | TagType::Bool) => ValueKind::Bool,
        Some(TagType::Text) => ValueKind::Text,
        Some(TagType::F32 | TagType::F64) => ValueKind::Float,
        Some(_) => ValueKind::Int,
    }
}

/// The sampling interval of a tag.
pub(in crate::settings) fn every(tag: &shape::Tag, server: &shape::OpcUa) -> Duration {
    let usual = match server.read {
        shape::Reading::Subscribe => server.publishing_interval.get(),
        shape::Reading::Poll => super::device::EVERY,
    };
    tag.every.map_or(usual, |every| every.get())
}

/// Values that the server must keep between two publishings so that none is lost: twice what comes.
pub(in crate::settings) fn queue(tag: &shape::Tag, server: &shape::OpcUa) -> u32 {
    let sampling = every(tag, server).as_millis().max(1);
    let needed = (2 * server.publishing_interval.get().as_millis()).div_ceil(sampling);
    u32::try_from(needed)
        .unwrap_or(MAX_QUEUE)
        .clamp(2, MAX_QUEUE)
}

/// The node of a tag; `None` when it cannot be said.
pub(super) fn variable(
    tag: &shape::Tag,
    server: &shape::OpcUa,
    path: &str,
    report: &mut Report,
) -> Option<Variable> {
    let Some(node) = &tag.node else {
        report.add(
            path,
            "which node? Write `node: \"PREFIX:s=NAME\"` with a prefix of `namespaces:`",
        );
        return None;
    };
    sense(tag, server, path, report);
    let needed = queue(tag, server);
    if tag.queue.is_some_and(|queue| queue < needed) {
        let at = join(path, "queue");
        let message = format!(
            "{} is too short: {needed} is twice what comes between two publishings; with less, values are lost",
            report.written(&at)
        );
        report.add(at, message);
    }
    Some(Variable {
        node: self::node(node, server, &join(path, "node"), report)?,
        kind: tag.kind,
        index: tag.index,
        field: tag
            .field
            .iter()
            .flat_map(|field| field.split('.'))
            .map(str::to_owned)
            .collect(),
        state_machine: tag.state_machine,
        queue: tag.queue.unwrap_or(needed),
    })
}

/// Keys that say nothing together.
fn sense(tag: &shape::Tag, server: &shape::OpcUa, path: &str, report: &mut Report) {
    if tag.state_machine {
        let keys = [
            ("type", tag.kind.is_some()),
            ("index", tag.index.is_some()),
            ("field", tag.field.is_some()),
        ];
        for (key, _) in keys.into_iter().filter(|(_, given)| *given) {
            let message = format!("the state of a machine is its name, a text: leave `{key}` out");
            report.add(join(path, key), message);
        }
    }
    let instead = match tag.kind {
        Some(TagType::Bit) => Some("`type: bool`"),
        Some(TagType::Bcd16) => Some("`type: u16`"),
        Some(TagType::Bcd32) => Some("`type: u32`"),
        _ => None,
    };
    if let Some(instead) = instead {
        let at = join(path, "type");
        let message = format!(
            "OPC UA has no {}: write {instead}, as the server has it",
            report.written(&at)
        );
        report.add(at, message);
    }
    if tag
        .field
        .as_ref()
        .is_some_and(|field| field.split('.').any(str::is_empty))
    {
        let at = join(path, "field");
        let message = format!(
            "{} names nothing: write the names of fields with a dot between, `a.b`",
            report.written(&at)
        );
        report.add(at, message);
    }
    if tag.queue.is_some() && server.read == shape::Reading::Poll {
        report.add(
            join(path, "queue"),
            "a polled server keeps no values: leave `queue` out",
        );
    }
}

/// `ml:s=Name`, `nsu=URI;s=Name`, `ns=2;s=Name` or `i=2258`.
fn node(text: &str, server: &shape::OpcUa, path: &str, report: &mut Report) -> Option<Node> {
    let (namespace, identifier) = if let Some(rest) = text.strip_prefix("nsu=") {
        let (uri, identifier) = rest.split_once(';').unwrap_or((rest, ""));
        if uri.is_empty() {
            let message = format!("{} has no URI: write `nsu=URI;s=NAME`", shown(text));
            report.add(path, message);
            return None;
        }
        (Namespace::Uri(uri.to_owned()), identifier)
    } else if let Some(rest) = text.strip_prefix("ns=") {
        let (index, identifier) = rest.split_once(';').unwrap_or((rest, ""));
        let Ok(index) = index.parse() else {
            report.add(
                path,
                format!(
                    "{} has no namespace index: write `ns=2;s=NAME`",
                    shown(text)
                ),
            );
            return None;
        };
        (Namespace::Index(index), identifier)
    } else if is_identifier(text) {
        (Namespace::Index(0), text)
    } else {
        let Some((prefix, identifier)) = text.split_once(':') else {
            let prefix = server.namespaces.keys().next();
            let whole = match prefix {
                Some(prefix) => format!("{prefix}:s=NAME"),
                None => "nsu=URI;s=NAME".to_owned(),
            };
            let message = format!(
                "{} is no whole node: write such as \"{whole}\"; `millgate browse` prints them",
                shown(text)
            );
            report.add(path, message);
            return None;
        };
        let Some(uri) = server.namespaces.get(prefix) else {
            let message = format!("{} is no prefix of `namespaces:`", shown(prefix));
            report.unknown(
                path,
                prefix,
                message,
                server.namespaces.keys().map(String::as_str),
            );
            return None;
        };
        (Namespace::Uri(uri.clone()), identifier)
    };
    if !is_identifier(identifier) {
        let message = format!(
            "{} has no identifier: `s=NAME`, `i=NUMBER`, `g=GUID` or `b=BASE64` stands at its end",
            shown(text)
        );
        report.add(path, message);
        return None;
    }
    Some(Node {
        namespace,
        identifier: identifier.to_owned(),
    })
}

fn is_identifier(text: &str) -> bool {
    let Some((kind, rest)) = text.split_once('=') else {
        return false;
    };
    match kind {
        "i" => rest.parse::<u32>().is_ok(),
        "s" | "g" | "b" => !rest.is_empty(),
        _ => false,
    }
}
