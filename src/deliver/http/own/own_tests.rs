//! Requests of the server's own form: what templates make of events, and what is told about those that cannot.

use super::check::check;
use super::*;
use crate::model::{Class, Envelope, Position, UplinkId};
use crate::settings::shape::Http;
use crate::settings::{Problem, Uplink, UplinkProtocol};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

fn record(kind: &str, event: &Value) -> Record {
    Record {
        position: Position { epoch: 1, seq: 1 },
        envelope: Envelope {
            id: uuid::Uuid::nil(),
            run: uuid::Uuid::nil(),
            kind: kind.into(),
            partition_key: "PRESS-04".into(),
            equipment: None,
            path: Vec::new(),
            time_ns: 0,
        },
        class: Class::Lasting,
        payload: event.to_string().into(),
    }
}

/// What comes of a request with this URL, and a body in a file of that name, for an event.
fn made(url: &str, name: &str, body: &str, event: &Value) -> Result<Outgoing, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    std::fs::write(&file, body).unwrap();
    let requests = json!({ "*": { "post": url, "headers": { "X-Of": "{{ of }}" }, "body": file } });
    let requests = serde_json::from_value(requests).unwrap();
    let own = OwnRequests::new(&requests)?;
    let made = own.outgoing(&record("operation.completed", event)).unwrap();
    made.map_err(|trouble| trouble.reason)
}

fn body_of(name: &str, body: &str, event: &Value) -> Result<String, String> {
    let made = made("http://h/", name, body, event)?;
    Ok(String::from_utf8(made.body.to_vec()).unwrap())
}

fn event() -> Value {
    json!({
        "of": "a", "order": "WO/1 & \"2\"\u{1d}<", "n": 1.5, "yes": true, "nothing": null,
        "list": [{ "id": 1 }, { "id": 2 }],
    })
}

#[test]
fn expressions_are_escaped_by_what_the_text_becomes() {
    let of = |name: &str, body: &str| body_of(name, body, &event()).unwrap();
    assert_eq!(
        of(
            "b.json",
            r#"{"o": {{ order }}, "n": {{ n }}, "y": {{ yes }}, "x": {{ nothing }}}"#
        ),
        r#"{"o": "WO/1 & \"2\"\u001d<", "n": 1.5, "y": true, "x": null}"#
    );
    assert_eq!(
        of(
            "b.json.j2",
            "[{% for one in list %}{{ one.id }}{% if not loop.last %},{% endif %}{% endfor %}]"
        ),
        "[1,2]"
    );
    assert_eq!(
        of(
            "b.xml",
            "<o n='{{ n }}' y='{{ yes }}'>{{ order }}{{ nothing }}</o>"
        ),
        "<o n='1.5' y='true'>WO/1 &amp; &quot;2&quot;\u{241d}&lt;</o>"
    );
    assert_eq!(
        of("b.txt", "{{ yes }} {{ n }} {{ list[0].id }}"),
        "true 1.5 1"
    );
    let url = made("http://h/o/{{ order }}?n={{ n }}", "b.txt", "x", &event())
        .unwrap()
        .url;
    assert_eq!(
        url.as_str(),
        "http://h/o/WO%2F1%20%26%20%222%22%1D%3C?n=1.5"
    );
}

#[test]
fn what_does_not_fit_the_event_is_told_and_not_sent() {
    for (url, name, body, says) in [
        (
            "http://h/",
            "b.json",
            "{{ missing }}",
            "the event does not have it",
        ),
        (
            "http://h/",
            "b.json",
            "{{ nothing.id }}",
            "the event does not have it",
        ),
        ("http://h/", "b.json", "{ {{ n }} }", "the body is no JSON"),
        ("http://h/{{ nothing }}/x", "b.txt", "x", "null or empty"),
        ("http://h/{{ '..' }}/x", "b.txt", "x", "another URL"),
        (
            "http://h/",
            "b.txt",
            "{% for i in range(100000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}",
            "more steps",
        ),
        (
            "http://h/",
            "b.txt",
            "{{ 'x' * 300000 }}",
            "longer than it may",
        ),
        (
            "http://h/{{ 'x' * 9000 }}",
            "b.txt",
            "x",
            "longer than it may",
        ),
        (
            "http://h/",
            "b.txt",
            "{% include 'other.txt' %}",
            "cannot include",
        ),
    ] {
        let why = made(url, name, body, &event()).unwrap_err();
        assert!(why.contains(says), "{url} {body}: {why}");
    }
    let mut forged = event();
    forged["of"] = "a\r\nX-Evil: 1".into();
    let why = made("http://h/", "b.txt", "x", &forged).unwrap_err();
    assert!(why.contains("control characters"), "{why}");
}

#[test]
fn the_narrowest_request_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b.txt");
    std::fs::write(&file, "x").unwrap();
    let to = |path: &str| json!({ "post": format!("http://h/{path}"), "body": file });
    let requests =
        json!({ "*": to("all"), "operation.*": to("branch"), "operation.completed": to("one") });
    let own = OwnRequests::new(&serde_json::from_value(requests).unwrap()).unwrap();
    for (kind, path) in [
        ("operation.completed", "/one"),
        ("operation.started", "/branch"),
        ("gateway.birth", "/all"),
    ] {
        let made = own.outgoing(&record(kind, &event())).unwrap().unwrap();
        assert_eq!(made.url.path(), path);
    }
}

/// What `check` says of a body for events of this pattern.
fn told(pattern: &str, name: &str, body: &str) -> Vec<Problem> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), body).unwrap();
    let request = json!({ "post": "http://h/{{ data.gateway.id }}", "headers": { "X-A": "{{ subjekt }}" }, "body": name });
    let http = json!({ "requests": { pattern: request } });
    let http: Http = serde_json::from_value(http).unwrap();
    let uplink = Uplink::new(UplinkId(0), "sap", UplinkProtocol::Http(http.clone()));
    check(&uplink, &http, folder.path())
}

#[test]
fn variables_are_held_against_what_events_have_with_line_and_column() {
    let at = "uplinks.sap.http.requests.operation.completed.";
    for (body, place, says, meant) in [
        (
            "{ \"a\":\n   {{ data.operation.oder.id }} }",
            "b.json:2:7: ",
            "`data.operation.oder.id` is not in operation.completed",
            Some("data.operation.order.id"),
        ),
        (
            "{{ dta.operation.id }}",
            "b.json:1:4: ",
            "there are ",
            Some("data.operation.id"),
        ),
        (
            "{{ data.operation.id.x }}",
            "b.json:1:4: ",
            "`data.operation.id` has no parts",
            None,
        ),
        (
            "[{% for p in data.parameters %}{{ p.nam }}{% endfor %}]",
            "b.json:1:35: ",
            "`p.nam` is not in",
            Some("data.parameters.0.name"),
        ),
        (
            "{\"a\": \"{{ id }}\"}",
            "b.json:1:8: ",
            "brings its own quotes",
            None,
        ),
        ("{\n{{ id }", "b.json:2:", "not a template", None),
        (
            "{{ id | uper }}",
            "b.json:1:9: ",
            "there is no filter `uper`",
            None,
        ),
        (
            "{{ 1 if id is strin }}",
            "b.json:1:15: ",
            "there is no test `strin`",
            None,
        ),
        (
            "{{ 'a|b is c' }}{{ id | upper }}{{ idd }}",
            "b.json:1:36: ",
            "`idd` is not in",
            Some("id"),
        ),
    ] {
        let problems = told("operation.completed", "b.json", body);
        let problem = problems.iter().find(|one| one.path == format!("{at}body"));
        let Some(problem) = problem else {
            panic!("nothing is told of {body}")
        };
        assert!(
            problem.message.starts_with(place) && problem.message.contains(says),
            "{problem:?}"
        );
        assert_eq!(problem.suggestion.as_deref(), meant, "{body}");
        let header = problems
            .iter()
            .find(|one| one.path == format!("{at}headers.X-A"))
            .unwrap();
        assert_eq!(header.suggestion.as_deref(), Some("subject"));
    }
}

/// What `check` doubts of an address and a body for completed operations.
fn doubted(url: &str, body: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("b.json"), body).unwrap();
    let request = json!({ "post": url, "body": "b.json" });
    let http = json!({ "requests": { "operation.completed": request } });
    let http: Http = serde_json::from_value(http).unwrap();
    let uplink = Uplink::new(UplinkId(0), "sap", UplinkProtocol::Http(http.clone()));
    assert_eq!(check(&uplink, &http, folder.path()), []);
    let doubts = doubt::doubts(&uplink, &http, folder.path());
    doubts.into_iter().map(|one| one.message).collect()
}

#[test]
fn what_an_event_may_lack_is_doubted_unless_the_template_asks_for_it() {
    for (body, doubts) in [
        (
            "{{ data.operation.order.id }}",
            "`data.operation.order` may be null in operation.completed",
        ),
        ("{{ data.operation.segment }}", ""),
        ("{{ id }} {{ data.operation.started_at }}", ""),
        (
            "{{ data.operation.order.id if data.operation.order else none }}",
            "",
        ),
        (
            "{% if data.operation.order %}{{ data.operation.order.id }}{% endif %}",
            "",
        ),
        (
            "{% if data.operation.order is not none %}{{ data.operation.order.id }}{% endif %}",
            "",
        ),
        ("{{ data.operation.order.id | default('none') }}", ""),
        ("{{ (data.operation.order.id) | default(none) }}", ""),
        // What is asked for is not what is taken.
        (
            "{{ data.operation.order.id if data.operation.lot else none }}",
            "`data.operation.order` may be null",
        ),
        (
            "{{ data.operation.order.id if data.operation.order.id else none }}",
            "`data.operation.order` may be null",
        ),
        (
            "[{% for p in data.parameters %}{{ p.name }}{% endfor %}]",
            "",
        ),
    ] {
        let found = doubted("http://h/e", body);
        assert_eq!(found.is_empty(), doubts.is_empty(), "{body}: {found:?}");
        assert!(
            found.iter().all(|one| one.contains(doubts)),
            "{body}: {found:?}"
        );
        assert!(
            found.iter().all(|one| one.starts_with("b.json:1:")),
            "{found:?}"
        );
    }
    // An address needs all of its parts.
    for (url, doubts) in [
        ("http://h/{{ data.operation.segment }}", 1),
        (
            "http://h/{{ data.operation.segment if data.operation.segment else 'x' }}",
            0,
        ),
        ("http://h/{{ data.operation.segment | default('x') }}", 1),
        (
            "http://h/{{ data.operation.segment | default('x', true) }}",
            0,
        ),
        ("http://h/{{ data.operation.id }}", 0),
    ] {
        assert_eq!(doubted(url, "1").len(), doubts, "{url}");
    }
}

#[test]
fn a_part_that_only_some_events_have_is_asked_for_first() {
    let bare = told("operation.*", "b.json", "{{ data.operation.duration_s }}");
    assert!(
        bare.iter().any(|one| one.message.contains("is defined %}")),
        "{bare:?}"
    );
    let asked = "{% if data.operation.duration_s is defined %}{{ data.operation.duration_s }}{% else %}null{% endif %}";
    let asked = told("operation.*", "b.json", asked);
    assert!(
        asked.iter().all(|one| one.path.ends_with("X-A")),
        "{asked:?}"
    );
    let good = "[{{ id }}, {{ data.operation.order.id if data.operation.order else none }}, {% for x in data.parameters %}{{ x.name }}{% endfor %}{{ range(3) | length }}]";
    let good = told("operation.completed", "b.json", good);
    assert!(good.iter().all(|one| one.path.ends_with("X-A")), "{good:?}");
}

#[test]
fn a_file_that_is_not_there_or_too_long_is_told() {
    let problems = told("operation.completed", "b.json", &" ".repeat(70_000));
    assert!(
        problems
            .iter()
            .any(|one| one.message.contains("longer than 64 KiB")),
        "{problems:?}"
    );
    let request: Http = serde_json::from_value(
        json!({ "requests": { "*": { "post": "http://h/", "body": "none.json" } } }),
    )
    .unwrap();
    let uplink = Uplink::new(UplinkId(0), "sap", UplinkProtocol::Http(request.clone()));
    let problems = check(&uplink, &request, Path::new("/nowhere"));
    assert!(
        problems[0]
            .message
            .contains("/nowhere/none.json cannot be read"),
        "{problems:?}"
    );
}

proptest! {
    #[test]
    fn no_template_makes_it_panic(body in "[{}%a-z.|#\"' \n]{0,60}", name in prop::sample::select(vec!["b.json", "b.xml", "b.txt"])) {
        drop(told("*", name, &body));
        drop(made("http://h/", name, &body, &event()));
    }

    #[test]
    fn whatever_is_scanned_stays_inside_its_place(order in "\\PC{0,30}|[\u{0}-\u{1f}./?#%]{0,5}") {
        let mut event = event();
        event["order"] = order.clone().into();
        if let Ok(made) = made("http://h/o/{{ order }}/x", "b.json", "[{{ order }}]", &event) {
            prop_assert_eq!(made.url.host_str(), Some("h"));
            prop_assert_eq!(made.url.path().split('/').count(), 4, "{}", made.url);
            prop_assert!(made.url.query().is_none());
            let body: Vec<String> = serde_json::from_slice(&made.body).unwrap();
            prop_assert_eq!(&body[0], &order);
        }
        let xml = body_of("b.xml", "{{ order }}", &event).unwrap();
        let clean = !xml.contains(|c: char| c == '<' || c < ' ');
        prop_assert!(clean, "{}", xml);
    }
}
