//! HTTP uplinks: tokens, proxies, header lines, batches, what answers mean, requests of the server's own form.

use super::{TWO, place_of, told};
use crate::settings::load;

const PLAIN: &str = "http: { url: \"http://127.0.0.1:8085/events\", timeout: 10s }";

/// The example with an HTTP uplink of these keys.
fn text(keys: &str) -> String {
    let text = TWO.replace(PLAIN, &format!("http: {{ {keys} }}"));
    assert_ne!(text, TWO);
    text
}

/// Exactly one problem, where `mark` first stands, that says so.
fn wrong(keys: &str, mark: &str, says: &str) {
    let text = text(keys);
    let told = told(&text);
    assert_eq!(told.len(), 1, "{keys}\n{told:#?}");
    assert!(told[0].1.contains(says), "{keys}\n{told:#?}");
    assert_eq!(told[0].0, place_of(&text, mark), "{keys}\n{told:#?}");
}

fn right(keys: &str) {
    if let Err(problems) = load(&text(keys)) {
        panic!("{keys}: {:#?}", problems.list);
    }
}

const URL: &str = "url: \"https://h/e\", tls: { ca: /ca }";

#[test]
fn tokens_have_an_address_a_client_and_one_way_in() {
    let oauth2 = |keys: &str| format!("{URL}, oauth2: {{ secret: {{ credential: s }}, {keys} }}");
    right(&oauth2(
        "token_url: \"https://a/t\", client: gw, scope: \"a b\", send: body",
    ));
    right(&oauth2(
        "token_url: \"http://a/t\", client: gw, audience: mes",
    ));
    wrong(
        &oauth2("token_url: \"ftp://a/t\", client: gw"),
        "\"ftp:",
        "begins with http:// or https://",
    );
    wrong(
        &oauth2("token_url: \"https://a/t\", client: \"\""),
        "\"\"",
        "the client id is empty",
    );
    right(
        "url: \"http://h/e\", tls: { ca: /ca }, oauth2: { token_url: \"https://a/t\", client: c, secret: { credential: s } }",
    );
    wrong(
        &oauth2("token_url: \"http://a/t\", client: c, tls: { ca: /x }"),
        "tls: { ca: /x }",
        "http:// is not encrypted",
    );
    wrong(
        &format!(
            "{}, bearer: {{ file: /t }}",
            oauth2("token_url: \"https://a/t\", client: gw")
        ),
        "oauth2:",
        "both `bearer` and `oauth2`",
    );
    wrong(
        &oauth2("token_url: \"https://a/t\", client: gw").replace("{ credential: s }", "canary"),
        "canary",
        "a secret never stands in this file",
    );
}

#[test]
fn a_proxy_is_plain_and_header_lines_are_not_the_gateways_own() {
    right(&format!(
        "{URL}, proxy: \"http://p:3128\", proxy_user: {{ name: u, password: {{ file: /p }} }}"
    ));
    wrong(
        &format!("{URL}, proxy: \"socks5://p:1\""),
        "\"socks5:",
        "a proxy is http://HOST:PORT",
    );
    wrong(
        &format!("{URL}, proxy: \"http://p/x\""),
        "\"http://p/x",
        "a proxy has no path",
    );
    wrong(
        &format!("{URL}, proxy_user: {{ name: u, password: {{ file: /p }} }}"),
        "proxy_user:",
        "without a proxy",
    );
    right(&format!("{URL}, headers: {{ X-Site: \"PLANT1\" }}"));
    wrong(
        &format!("{URL}, headers: {{ \"X Site\": aa }}"),
        "aa }",
        "cannot be the name of a header line",
    );
    wrong(
        &format!("{URL}, headers: {{ Authorization: \"Bearer x\" }}"),
        "\"Bearer x\"",
        "`bearer`, `basic` or `oauth2` make it",
    );
    wrong(
        &format!("{URL}, headers: {{ X-A: \"a\\nb\" }}"),
        "\"a\\nb\"",
        "no control characters",
    );
    wrong(
        &format!("{URL}, in_flight: 65"),
        "65 }",
        "out of range: `in_flight` is 1 to 64",
    );
    wrong(
        &format!("{URL}, batch: 0, timeout: 9s"),
        "0, timeout: 9s",
        "out of range: `batch` is 1 to 100",
    );
}

#[test]
fn a_header_line_is_a_text_or_where_its_secret_is() {
    let headers = |lines: &str| format!("{URL}, headers: {{ {lines} }}");
    right(&headers(
        "X-Api-Key: { credential: mes-key }, X-Site: P1, X-Line: \"7\", X-Empty: \"\"",
    ));
    right(&headers("Authorization: { file: /etc/millgate/key }"));
    wrong(
        &headers("X-Api-Key: { credential: a/b }"),
        "a/b",
        "a credential is the name of a file",
    );
    wrong(
        &headers("X-Api-Key: { credentials: k }"),
        "X-Api-Key:",
        "a secret never stands in this file",
    );
    wrong(
        &format!(
            "{}, bearer: {{ credential: t }}",
            headers("Authorization: { credential: k }")
        ),
        "Authorization:",
        "`bearer`, `basic` or `oauth2` make it",
    );
    let secret = "{ credential: k }";
    let whole = text(&headers(&format!("X-Api-Key: {secret}, X-Site: P1")));
    let loaded = load(&whole).unwrap();
    let again = load(&crate::settings::effective(&loaded.file)).unwrap();
    assert_eq!(again.plant.digest, loaded.plant.digest);
}

#[test]
fn a_secret_that_stands_in_the_file_is_warned_of_by_its_name_and_not_repeated() {
    for (keys, says) in [
        (
            format!("{URL}, headers: {{ X-Api-Key: canary }}"),
            Some("this looks like a secret"),
        ),
        (format!("{URL}, headers: {{ X-Plant: canary }}"), None),
        (
            "url: \"https://h/e?plant=1&api_key=canary\", tls: { ca: /ca }".to_owned(),
            Some("`api_key` looks like a secret"),
        ),
        (
            "url: \"http://h/e\", headers: { X-Api-Key: { file: /dev/null } }".to_owned(),
            Some("travels unencrypted"),
        ),
    ] {
        let warnings = load(&text(&keys)).unwrap().warnings();
        let of_headers = |one: &&crate::settings::Problem| {
            one.path.contains("headers") || one.path.ends_with("url")
        };
        let told: Vec<_> = warnings.iter().filter(of_headers).collect();
        let all = format!("{told:?}");
        assert_eq!(told.is_empty(), says.is_none(), "{keys}: {all}");
        assert!(says.is_none_or(|says| all.contains(says)), "{keys}: {all}");
        assert!(!all.contains("canary"), "{all}");
    }
}

#[test]
fn what_answers_mean_is_told_entry_by_entry() {
    let responses = |entries: &str| format!("{URL}, responses: [ {entries} ]");
    right(&responses(
        "{ status: 417, where: { pointer: /a/b~1c, equals: 5 }, then: rejected, class: schema, code: { value: \"x\" }, detail: { pointer: /m } }, { status: 5xx, then: pause }",
    ));
    right(&responses(
        "{ status: 200, where: { pointer: \"\", exists: true }, then: accepted }, { status: 2xx, then: retry }",
    ));
    for (entries, mark, says) in [
        (
            "{ status: 600, then: retry }",
            "600,",
            "write 200 to 599, or 2xx",
        ),
        ("{ status: 4XX, then: retry }", "4XX", "is not a status"),
        (
            "{ status: 200, then: accept }",
            "accept }",
            "write `accepted`",
        ),
        (
            "{ status: 200, where: { pointer: a, exists: true }, then: retry }",
            "a, exists",
            "it begins with a slash",
        ),
        (
            "{ status: 200, where: { pointer: /a~2, exists: true }, then: retry }",
            "/a~2",
            "`~0` is a tilde",
        ),
        (
            "{ status: 200, where: { pointer: /a }, then: retry }",
            "where:",
            "Write one of `equals: VALUE`",
        ),
        (
            "{ status: 200, where: { pointer: /a, equals: 1, exists: true }, then: retry }",
            "where:",
            "Write one of `equals: VALUE`",
        ),
        (
            "{ status: 200, where: { pointer: /a, matches: \"a(\" }, then: retry }",
            "\"a(\"",
            "is not a regular expression: unclosed group",
        ),
        (
            "{ status: 200, then: retry, class: schema }",
            "schema }",
            "only rejected events have a class",
        ),
        (
            "{ status: 200, then: accepted, code: { value: \"x\" } }",
            "code:",
            "an accepted event has no code",
        ),
        (
            "{ status: 200, then: retry, detail: { value: \"\" } }",
            "\"\" }",
            "the detail is empty",
        ),
        (
            "{ status: 4xx, then: retry }, { status: 417, then: rejected }",
            "{ status: 417",
            "entry 2 is never reached: entry 1",
        ),
        (
            "{ status: 200, where: { pointer: /a, equals: 1 }, then: retry }, { status: 200, where: { pointer: /a, equals: 1 }, then: pause }",
            "{ status: 200, where: { pointer: /a, equals: 1 }, then: pause",
            "never reached",
        ),
    ] {
        let keys = responses(entries);
        let text = text(&keys);
        let told = told(&text);
        assert_eq!(told.len(), 1, "{entries}\n{told:#?}");
        assert!(told[0].1.contains(says), "{entries}\n{told:#?}");
        assert_eq!(told[0].0.line, place_of(&text, mark).line, "{entries}");
    }
}

#[test]
fn requests_have_one_method_a_fixed_host_and_events_that_come() {
    let requests = |entries: &str| format!("tls: {{ ca: /ca }}, requests: {{ {entries} }}");
    let all = "\"*\": { post: \"https://h/a/{{ data.gateway.id }}?x={{ id }}\", body: b.json }";
    right(&requests(all));
    right(&requests(&format!(
        "{all}, operation.completed: {{ put: \"https://h/b\", body: b.json, headers: {{ Content-Type: text/json }} }}"
    )));
    for (entries, says) in [
        (
            "\"*\": { body: b }",
            "write `post: URL`, `put: URL` or `patch: URL`",
        ),
        (
            "\"*\": { post: \"https://h\", put: \"https://h\", body: b }",
            "one method and one address",
        ),
        (
            "\"*\": { post: \"https://{{ id }}/x\", body: b }",
            "the host is fixed",
        ),
        (
            "\"*\": { post: \"https://a.{{ id }}/x\", body: b }",
            "the host is fixed",
        ),
        ("\"*\": { post: \"h/x\", body: b }", "write SCHEME://HOST"),
        (
            "\"*\": { post: \"https://h/x\", body: \"\" }",
            "the path is empty",
        ),
        (
            "\"*\": { post: \"https://h/x\", body: b, headers: { Host: a } }",
            "written by the gateway itself",
        ),
        (
            "operation.*: { post: \"https://h/x\", body: b }",
            "where do ",
        ),
        (
            &format!("{all}, operation.complete: {{ post: \"https://h/x\", body: b }}"),
            "did you mean `operation.completed`",
        ),
    ] {
        let told = told(&text(&requests(entries)));
        assert_eq!(told.len(), 1, "{entries}\n{told:#?}");
        assert!(told[0].1.contains(says), "{entries}\n{told:#?}");
    }
    wrong(
        "timeout: 10s",
        "http:",
        "Write `url: https://HOST/PATH`, or `requests:`",
    );
    wrong(
        &format!("{}, batch: 5", requests(all)),
        "5 }",
        "`requests` send each event alone",
    );
}

#[test]
fn addresses_and_users_are_what_can_be_sent() {
    for (keys, mark, says) in [
        (
            "url: \"http://h/{{ data.gateway.id }}\"",
            "\"http://h/{{",
            "`requests:` has addresses that depend on the event",
        ),
        (
            "url: \"http://h/e#top\"",
            "\"http://h/e#",
            "what follows `#` never leaves the gateway",
        ),
        (
            "url: \"http://h/\", basic: { name: \"a:b\", password: { file: /p } }",
            "\"a:b\"",
            "a colon ends the user's name",
        ),
        (
            "url: \"http://h/\", basic: { name: \"a\\tb\", password: { file: /p } }",
            "\"a\\tb\"",
            "has a control character",
        ),
        (
            "url: \"http://u:canary@h/\"",
            "\"http://u:",
            "no name and no password in an address",
        ),
    ] {
        wrong(keys, mark, says);
    }
}

/// The example with an HTTP uplink of these keys, and one of the uplink's own.
fn beside(line: &str, keys: &str) -> String {
    let text = text(keys);
    let at = text.find("    http: {").unwrap();
    format!("{}    {line}\n{}", &text[..at], &text[at..])
}

#[test]
fn a_verdict_that_is_waited_for_and_a_batch_exclude_each_other() {
    let hold = |keys: &str| beside("on_reject: hold", keys);
    assert!(load(&hold(URL)).is_ok());
    let batch = told(&hold(&format!("{URL}, batch: 5")));
    assert_eq!(batch.len(), 1);
    assert!(
        batch[0].1.contains("with `on_reject: hold` the verdict"),
        "{batch:?}"
    );
}

#[test]
fn b2mml_goes_alone() {
    let b2mml = |keys: &str| beside("format: b2mml", keys);
    assert!(load(&b2mml(URL)).is_ok());
    let batch = told(&b2mml(&format!("{URL}, batch: 5")));
    assert!(
        batch[0]
            .1
            .contains("with `format: b2mml` each event goes alone"),
        "{batch:?}"
    );
    let own = "tls: { ca: /ca }, requests: { \"*\": { post: \"https://h/\", body: b.xml } }";
    let own = told(&b2mml(own));
    assert!(
        own[0].1.contains("requests have bodies of their own"),
        "{own:?}"
    );
}
