//! `opc_ua:`: endpoints, security, namespaces, nodes; one device, one change, one problem.

use super::{load, place_of, told};
use crate::settings::shape::{SecurityMode, SecurityPolicy};
use crate::settings::{Namespace, OpcUa, Plant, Protocol, TagSource, Variable};

const PLAIN: &str = "endpoint: \"opc.tcp://192.0.2.1:4840\"";
const SPEED: &str = "speed: { node: \"ns=2;s=Speed\" }";

/// A press with one server of these `opc_ua:` and `tags:`.
fn press(server: &str, tags: &str) -> String {
    format!(
        "gateway: {{ id: gw-1, path: [acme] }}\nmachine: PRESS\ndevices:\n  plc:\n    opc_ua: {{ {server} }}\n    tags: {{ {tags} }}\n"
    )
}

/// Exactly one problem, shown where `mark` stands, that says `says`.
fn check(server: &str, tags: &str, mark: &str, says: &str) {
    let text = press(server, tags);
    let told = told(&text);
    assert_eq!(told.len(), 1, "{text}\n{told:#?}");
    let (place, message) = &told[0];
    assert!(
        message.contains(says),
        "{text}\nsays  {message}\nnot   {says}"
    );
    assert_eq!(*place, place_of(&text, mark), "{text}\n{message}");
}

fn plant(server: &str, tags: &str) -> Plant {
    let text = press(server, tags);
    load(&text)
        .unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
        .plant
}

fn server(plant: &Plant) -> &OpcUa {
    match &plant.devices[0].protocol {
        Protocol::OpcUa(server) => server,
        other => panic!("{other:?}"),
    }
}

fn variable(plant: &Plant) -> &Variable {
    match &plant.tags[0].source {
        TagSource::OpcUa(variable) => variable,
        other => panic!("{other:?}"),
    }
}

/// The server with one more key.
fn with(key: &str) -> String {
    format!("{PLAIN}, {key}")
}

#[test]
fn a_server_is_secured_unless_the_file_says_otherwise() {
    let secured = plant(PLAIN, SPEED);
    assert_eq!(
        server(&secured).security.policy,
        SecurityPolicy::Basic256Sha256
    );
    assert_eq!(server(&secured).security.mode, SecurityMode::SignAndEncrypt);
    let open = plant(&with("insecure: true"), SPEED);
    assert_eq!(server(&open).security.policy, SecurityPolicy::None);
    check(
        &with("security: { policy: None, mode: None }"),
        SPEED,
        "security: {",
        "write `insecure: true` beside it",
    );
    check(
        &with("security: { mode: Sign }, insecure: true"),
        SPEED,
        "true }",
        "leave it out",
    );
    check(
        &with("security: { policy: None }, insecure: true"),
        SPEED,
        "security: {",
        "go together",
    );
}

#[test]
fn an_endpoint_says_how_it_is_written() {
    for wrong in [
        "http://192.0.2.1",
        "192.0.2.1:4840",
        "opc.tcp://",
        "opc.tcp://plc:0",
    ] {
        let given = format!("endpoint: \"{wrong}\"");
        check(
            &given,
            SPEED,
            &format!("\"{wrong}\""),
            "`opc.tcp://HOST:4840`",
        );
    }
}

#[test]
fn a_password_in_clear_needs_the_flag() {
    let user = "user: { name: press, password: { credential: plc } }";
    check(
        &with(&format!("security: {{ policy: None, mode: None }}, {user}")),
        SPEED,
        "security: {",
        "insecure: true",
    );
    plant(&with(&format!("insecure: true, {user}")), SPEED);
}

#[test]
fn intervals_stay_in_their_range() {
    check(
        &with("publishing_interval: 5ms"),
        SPEED,
        "5ms",
        "10ms to 1min",
    );
    check(
        &with("publishing_interval: 2min"),
        SPEED,
        "2min",
        "10ms to 1min",
    );
    check(&with("timeout: 10ms"), SPEED, "10ms", "100ms to 1min");
}

#[test]
fn a_prefix_must_not_mean_something_else() {
    for taken in ["i", "s", "ns", "nsu"] {
        let given = with(&format!("namespaces: {{ {taken}: urn:press }}"));
        check(&given, SPEED, "urn:press", "call the prefix otherwise");
    }
    check(
        &with("namespaces: { p: \"\" }"),
        SPEED,
        "\"\"",
        "which URI?",
    );
}

#[test]
fn a_node_is_found_by_prefix_uri_or_index() {
    let given = with("namespaces: { ml: \"urn:press\" }");
    for (node, namespace, identifier) in [
        ("ml:s=A;b=c", Namespace::Uri("urn:press".into()), "s=A;b=c"),
        ("nsu=urn:line;i=7", Namespace::Uri("urn:line".into()), "i=7"),
        ("ns=3;s=A", Namespace::Index(3), "s=A"),
        ("i=2258", Namespace::Index(0), "i=2258"),
    ] {
        let plant = plant(&given, &format!("speed: {{ node: \"{node}\" }}"));
        assert_eq!(variable(&plant).node.namespace, namespace);
        assert_eq!(variable(&plant).node.identifier, identifier);
    }
    for (node, says) in [
        ("mx:s=A", "no prefix of `namespaces:`"),
        (
            "Tool.Force",
            "is no whole node: write such as \"ml:s=NAME\"",
        ),
        ("ml:Speed", "has no identifier"),
        ("ns=x;s=A", "has no namespace index"),
        ("nsu=;s=A", "has no URI"),
    ] {
        check(
            &given,
            &format!("speed: {{ node: \"{node}\" }}"),
            &format!("\"{node}\""),
            says,
        );
    }
}

#[test]
fn keys_that_say_nothing_together_are_refused() {
    let tag = |more: &str| format!("speed: {{ node: \"ns=2;s=Speed\", {more} }}");
    for (more, mark, says) in [
        (
            "state_machine: true, type: text",
            "text }",
            "leave `type` out",
        ),
        ("state_machine: true, index: 3", "3 }", "leave `index` out"),
        ("type: bcd16", "bcd16", "write `type: u16`"),
        ("type: bit", "bit }", "write `type: bool`"),
        ("field: \"a..b\"", "\"a..b\"", "names nothing"),
    ] {
        check(PLAIN, &tag(more), mark, says);
    }
    check(
        &with("read: poll"),
        &tag("queue: 50"),
        "50 }",
        "leave `queue` out",
    );
    check(PLAIN, &tag("every: 10ms, queue: 3"), "3 }", "is too short");
}

#[test]
fn a_server_may_be_polled() {
    let plant = plant(&with("read: poll"), "speed: { node: \"ns=2;s=Speed\" }");
    assert_eq!(variable(&plant).node.identifier, "s=Speed");
}

#[test]
fn the_queue_holds_twice_what_comes() {
    let plant = plant(
        &with("publishing_interval: 1s"),
        "speed: { node: \"ns=2;s=Speed\", every: 100ms }",
    );
    assert_eq!(variable(&plant).queue, 20);
}
