//! Each status, and what headers and body change about it.

use super::*;

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Accepted,
    Schema,
    Business,
    Conflict,
    Refused,
    Unanswered,
    Event,
    Way,
    Unavailable,
}

fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Reply {
    let headers = headers
        .iter()
        .map(|(name, value)| {
            let name = reqwest::header::HeaderName::from_static(name);
            (name, reqwest::header::HeaderValue::from_static(value))
        })
        .collect();
    Reply::new(
        StatusCode::from_u16(status).expect("a status"),
        &headers,
        body.into(),
    )
}

fn said(reply: &Reply) -> Verdict {
    verdict(reply, &Reading::default(), Uuid::nil())
}

fn class(reply: &Reply) -> Class {
    match said(reply) {
        Verdict::Accepted => Class::Accepted,
        Verdict::Taken => panic!("only a broker takes"),
        Verdict::Rejected(ParkClass::Schema, _) => Class::Schema,
        Verdict::Rejected(..) => Class::Business,
        Verdict::Conflict(_) => Class::Conflict,
        Verdict::Refused(_) => Class::Refused,
        Verdict::Unanswered(_)
        | Verdict::Broken(_)
        | Verdict::Pending(_)
        | Verdict::Undivided(_) => Class::Unanswered,
        Verdict::InDoubt(Doubt::Event, _) => Class::Event,
        Verdict::InDoubt(Doubt::Way, _) => Class::Way,
        Verdict::Unavailable(_) => Class::Unavailable,
    }
}

#[test]
fn each_status_blames_nobody_the_event_or_the_destination() {
    for (statuses, expected) in [
        (&[200, 201, 202, 204, 206][..], Class::Accepted),
        (&[400, 413, 415], Class::Schema),
        (&[422], Class::Business),
        (&[409], Class::Conflict),
        (&[402, 405, 406, 417, 418], Class::Refused),
        (&[408, 425, 500, 501, 507], Class::Unanswered),
        (&[502, 503, 504], Class::Event),
        (
            &[301, 302, 307, 308, 401, 403, 404, 407, 410, 429],
            Class::Way,
        ),
    ] {
        for status in statuses {
            assert_eq!(class(&reply(*status, &[], "")), expected, "{status}");
        }
    }
}

#[test]
fn a_proxy_of_the_settings_that_wants_a_login_stops_all() {
    let reading = Reading {
        has_proxy: true,
        ..Reading::default()
    };
    let found = verdict(&reply(407, &[], ""), &reading, Uuid::nil());
    let Verdict::Unavailable(trouble) = found else {
        panic!("{found:?}");
    };
    assert!(trouble.reason.contains("`proxy_user`"), "{trouble:?}");
}

#[test]
fn headers_and_body_decide_where_the_status_does_not() {
    let problem = [("content-type", "application/problem+json; charset=utf-8")];
    assert_eq!(class(&reply(404, &problem, "{}")), Class::Business);
    assert_eq!(class(&reply(410, &problem, "{}")), Class::Business);
    for (status, code, expected) in [
        (422, "schema-violation", Class::Schema),
        (422, "MALFORMED_BODY", Class::Schema),
        (400, "order-closed", Class::Business),
    ] {
        let body = format!(r#"{{"code":"{code}"}}"#);
        assert_eq!(class(&reply(status, &[], &body)), expected, "{code}");
    }
    for (body, expected) in [
        (r#"{"code":"duplicate"}"#, Class::Accepted),
        (r#"{"code":"already-processed"}"#, Class::Accepted),
        (r#"{"code":"order-closed"}"#, Class::Conflict),
        ("duplicate", Class::Conflict),
        ("[1]", Class::Conflict),
    ] {
        assert_eq!(class(&reply(409, &[], body)), expected, "{body}");
    }
    assert_eq!(class(&Reply::broken("reset".into())), Class::Unanswered);
}

#[test]
fn a_page_with_a_good_status_settles_nothing_unless_the_settings_say_so() {
    const LOGIN_PAGE: &str = "<!DOCTYPE html><html><head><title>Sign in</title>";
    for (status, headers, body) in [
        (200, &[][..], LOGIN_PAGE),
        (202, &[], LOGIN_PAGE),
        (
            200,
            &[("content-type", "text/html; charset=UTF-8")],
            "<br /><b>Fatal error</b>",
        ),
    ] {
        let answer = reply(status, headers, body);
        let Verdict::InDoubt(Doubt::Way, trouble) = said(&answer) else {
            panic!("{status} {body}");
        };
        let words = &trouble.reason;
        assert!(
            words.contains("HTML page") && words.contains("`url`"),
            "{words}"
        );
        assert_eq!(words.contains("\"Sign in\""), body == LOGIN_PAGE, "{words}");
        let entry = r#"[{ "status": "2xx", "then": "accepted" }]"#;
        let responses: Vec<_> = serde_json::from_str(entry).expect("responses");
        let reading = Reading {
            rules: Rules::new(&responses).expect("rules"),
            ..Reading::default()
        };
        assert_eq!(verdict(&answer, &reading, Uuid::nil()), Verdict::Accepted);
    }
    let words = [("content-type", "text/html")];
    assert_eq!(said(&reply(200, &words, "OK")), Verdict::Accepted);
    let mut batch = reply(200, &[], LOGIN_PAGE);
    batch.cut = true;
    assert_eq!(class(&batch), Class::Way);
}

#[test]
fn a_wait_that_the_server_asks_for_goes_with_its_verdict() {
    let Verdict::InDoubt(_, trouble) = said(&reply(503, &[("retry-after", "120")], "")) else {
        panic!("503 pauses");
    };
    assert_eq!(trouble.at_least, Some(Duration::from_secs(120)));
}

#[test]
fn what_202_without_a_location_means_is_a_setting() {
    let reading = Reading {
        on_202: On202::Retry,
        ..Reading::default()
    };
    let answer = reply(202, &[], "");
    assert!(matches!(
        verdict(&answer, &reading, Uuid::nil()),
        Verdict::Unanswered(_)
    ));
    assert_eq!(said(&answer), Verdict::Accepted);
}

#[test]
fn the_reason_carries_what_the_server_said() {
    let body = r#"{"title":"Work order is closed","code":"order-closed","detail":"WO-1\nclosed"}"#;
    let Verdict::Rejected(ParkClass::Business, trouble) = said(&reply(422, &[], body)) else {
        panic!("rejected");
    };
    assert_eq!(trouble.code.as_deref(), Some("order-closed"));
    assert_eq!(trouble.status, Some(422));
    assert!(
        trouble
            .reason
            .starts_with(r"422 order-closed Work order is closed WO-1\nclosed"),
        "{}",
        trouble.reason
    );
}

/// An event that a MES speaks of in the tests below.
const EVENT: &str = "0193a1f2-6c1e-7b1d-9f55-00000002cf9f";

fn on_event(status: u16, body: &str) -> Verdict {
    let id = EVENT.parse().expect("an id");
    verdict(&reply(status, &[], body), &Reading::default(), id)
}

#[test]
fn a_verdict_with_the_id_of_the_event_counts_whatever_the_status_says_of_it() {
    let said = |status: &str| format!(r#"{{"id":"{EVENT}","status":"{status}","code":"x"}}"#);
    let foreign = said("rejected").replace("cf9f", "cf9e");
    let list = format!(r#"{{"results":[{foreign},{}]}}"#, said("rejected"));
    let twice = format!("[{},{}]", said("retry"), said("accepted"));
    let errors = r#"[{"status":"422","pointer":"/data/order"}]"#;
    let with_errors = format!(
        r#"{{"id":"{EVENT}","status":"rejected","code":"order-closed","errors":{errors}}}"#
    );
    let deep = format!(r#"{{"data":{{"results":[{}]}}}}"#, said("rejected"));
    let firm = said("error").replace(r#""code""#, r#""retryable":false,"code""#);
    for (status, body, expected) in [
        (200, said("rejected").as_str(), "Rejected(Business"),
        (200, &said("retry"), "Refused"),
        (200, &said("duplicate"), "Accepted"),
        (202, &said("rejected"), "Rejected(Business"),
        (422, &said("accepted"), "Accepted"),
        (500, &said("rejected"), "Rejected(Business"),
        (200, &list, "Rejected(Business"),
        (200, &twice, "Accepted"),
        (200, &with_errors, "Rejected(Business"),
        (200, &deep, "Rejected(Business"),
        // A server that fails says so of the event, too.
        (200, &said("error"), "Rejected(Business"),
        (500, &said("error"), "Unanswered"),
        (500, &said("failed"), "Unanswered"),
        (500, &said("refused"), "Rejected(Business"),
        (500, &said("declined"), "Rejected(Business"),
        (500, &firm, "Rejected(Business"),
        // What is not known to be about this event: the status decides.
        (200, &foreign, "Accepted"),
        (200, r#"{"status":"rejected"}"#, "Accepted"),
        (200, r#"{"id":7,"status":"rejected"}"#, "Accepted"),
        (200, r#"{"id":"x","status":"rejected"}"#, "Accepted"),
        (200, &said("unheard-of"), "Accepted"),
        // The destination is at fault, whoever wrote the body.
        (401, &said("accepted"), "InDoubt(Way"),
        (503, &said("rejected"), "InDoubt(Event"),
    ] {
        let found = format!("{:?}", on_event(status, body));
        assert!(found.starts_with(expected), "{status} {body}: {found}");
    }
    let mut cut = reply(200, &[], &said("rejected"));
    cut.cut = true;
    let id = EVENT.parse().expect("an id");
    assert_eq!(verdict(&cut, &Reading::default(), id), Verdict::Accepted);
}

#[test]
fn the_words_of_the_catalogue_are_understood_whole() {
    let rejected = r#"{"id":"0193a1f2-6c1e-7b1d-9f55-00000002cf9f","source":"urn:acme:gw:plant1-press-gw07",
        "status":"rejected","code":"order-closed","title":"Work order is closed","detail":"WO-100482 was closed at 09:10",
        "retryable":false,"errors":[{"pointer":"/data/operation/order/id","code":"order-closed"}],
        "mes":{"system":"mes-plant1","ref":"IE-99123","at":"2026-11-22T09:14:38.200Z"}}"#;
    let problem = r##"{"type":"urn:millgate:problem:order-closed","title":"Work order is closed","status":422,
        "detail":"WO-100482 was closed at 09:10","instance":"urn:uuid:0193a1f2-6c1e-7b1d-9f55-00000002cf9f",
        "code":"order-closed","retryable":false,"errors":[{"pointer":"#/data/operation/order/id","code":"order-closed"}]}"##;
    for (status, body) in [(200, rejected), (422, problem)] {
        let Verdict::Rejected(ParkClass::Business, trouble) = on_event(status, body) else {
            panic!("rejected: {body}");
        };
        assert_eq!(trouble.code.as_deref(), Some("order-closed"));
        assert_eq!(trouble.status, Some(status));
        let words = &trouble.reason;
        assert!(words.contains("WO-100482 was closed at 09:10"), "{words}");
        assert!(words.contains("/data/operation/order/id"), "{words}");
        let said: Value = serde_json::from_str(&trouble.said.expect("a copy")).expect("JSON");
        assert_eq!(said, serde_json::from_str::<Value>(body).expect("JSON"));
    }
    let accepted = rejected.replace(r#""rejected""#, r#""accepted""#);
    assert_eq!(on_event(200, &accepted), Verdict::Accepted);
}

#[test]
fn retryable_says_whether_a_refused_event_comes_again() {
    for (status, retryable, expected) in [
        (422, "true", "Refused"),
        (400, "true", "Refused"),
        (409, "true", "Refused"),
        (409, "false", "Rejected(Business"),
        (417, "false", "Rejected(Business"),
        (500, "false", "Rejected(Business"),
        (422, "false", "Rejected(Business"),
        (422, "\"yes\"", "Rejected(Business"),
        (500, "true", "Unanswered"),
        // Not about the event.
        (503, "false", "InDoubt(Event"),
        (401, "false", "InDoubt(Way"),
        (200, "false", "Accepted"),
    ] {
        let body = format!(r#"{{"title":"no","retryable":{retryable}}}"#);
        let found = format!("{:?}", on_event(status, &body));
        assert!(found.starts_with(expected), "{status} {retryable}: {found}");
    }
    let body = format!(r#"{{"id":"{EVENT}","status":"rejected","retryable":true}}"#);
    assert!(matches!(on_event(200, &body), Verdict::Refused(_)));
}

#[test]
fn a_secret_is_found_however_it_was_escaped() {
    let secret = "ab/c+d==".to_owned();
    for (body, echoes) in [
        (r#"{"detail":"it was ab/c+d=="}"#, true),
        (r#"{"detail":"it was ab\/c\u002Bd=="}"#, true),
        (r#"{"ab\/c+d==":[{"x":1}]}"#, true),
        (r#"{"detail":"it was ab/c"}"#, false),
    ] {
        let reply = Reply::new(StatusCode::CONFLICT, &HeaderMap::new(), body.into());
        let mut trouble = Trouble::new("words");
        reply.without([&secret].into_iter()).silence(&mut trouble);
        assert_eq!(trouble.reason != "words", echoes, "{body}");
    }
}
