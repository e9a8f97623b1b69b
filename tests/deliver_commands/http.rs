//! `deliver test` to HTTP servers: each answer has its words and its exit code.

use crate::dead_letters::mes::{Answer, CLOSED, GOOD, Mes};
use crate::dead_letters::{home, millgate, settings};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

fn settings_of(path: &Path, url: &str, more: &str) -> PathBuf {
    settings(path, &format!("{{ http: {{ url: \"{url}\"{more} }} }}"), "")
}

#[test]
fn each_answer_is_explained_and_has_its_exit_code() {
    let cases: &[(Answer, i32, &str)] = &[
        (GOOD, 0, "accepted"),
        (CLOSED, 65, "does not want this event"),
        (
            (400, "", r#"{"code":"schema-violation"}"#),
            65,
            "does not understand the event",
        ),
        ((401, "", ""), 77, "does not let this gateway in"),
        ((301, "Location: http://elsewhere/", ""), 78, "redirects"),
        ((503, "", ""), 69, "nothing is lost"),
        ((500, "", ""), 69, "no verdict"),
        ((418, "", ""), 65, "its log says why"),
    ];
    for (answer, code, words) in cases {
        let home = home();
        let answer = *answer;
        let mes = Mes::start(move |_, _, _| answer);
        let url = format!("http://127.0.0.1:{}/events", mes.port);
        let settings = settings_of(home.path(), &url, "");
        let said = millgate(&settings, &["deliver", "test", "--uplink", "mes"]);
        said.says(*code, &[words, "127.0.0.1 is 127.0.0.1", "answers from"]);
        let came = mes.came();
        assert_eq!(came.len(), 1, "sent once");
        let event: Value = serde_json::from_str(&came[0].body).unwrap();
        assert_eq!(event["data"]["gateway"]["test"], true);
        assert_eq!(event["data"]["operation"]["purpose"], "test");
        assert_eq!(came[0].kind, "operation.completed");
    }
}

#[test]
fn a_good_status_shows_its_words_and_a_page_is_no_success() {
    const JSON: &str = "Content-Type: application/json";
    const SIGN_IN: &str =
        "<!DOCTYPE html><html><head><title>Sign in</title></head><body>...</body></html>";
    let cases: &[(Answer, i32, &[&str])] = &[
        (
            (
                200,
                JSON,
                r#"{"success":false,"message":"WO-1 is unknown"}"#,
            ),
            0,
            &[
                "accepted (200)",
                "it says: {\"success\":false",
                "sounds like a refusal",
                "responses: [{ status: \"200\", where: { pointer: /success, equals: false }, then: rejected }]",
            ],
        ),
        (
            (
                200,
                JSON,
                r#"{"jsonrpc":"2.0","error":{"message":"Odoo Server Error"}}"#,
            ),
            0,
            &[
                "Odoo Server Error",
                "where: { pointer: /error, exists: true }",
            ],
        ),
        (
            (201, JSON, r#"{"id":7}"#),
            0,
            &["accepted (201)", "it says: {\"id\":7}"],
        ),
        (
            (200, "Content-Type: text/html", SIGN_IN),
            78,
            &["\"Sign in\"", "looks like a login page", "`url`"],
        ),
        ((500, "", "no such\ntable"), 69, &["it says: no such table"]),
    ];
    for (answer, code, words) in cases {
        let home = home();
        let answer = *answer;
        let mes = Mes::start(move |_, _, _| answer);
        let url = format!("http://127.0.0.1:{}/events", mes.port);
        let settings = settings_of(home.path(), &url, "");
        millgate(&settings, &["deliver", "test"]).says(*code, words);
        if let Some(line) = words
            .last()
            .and_then(|line| line.strip_prefix("responses: "))
        {
            let settings = settings_of(home.path(), &url, &format!(", responses: {line}"));
            millgate(&settings, &["deliver", "test"]).says(65, &["rejects this event"]);
        }
        // A server that really answers with pages can be used.
        if *code == 78 {
            let more = ", responses: [{ status: 2xx, then: accepted }]";
            let settings = settings_of(home.path(), &url, more);
            millgate(&settings, &["deliver", "test"]).says(0, &["accepted (200)"]);
        }
    }
}

#[test]
fn a_secret_of_the_address_that_comes_back_is_not_shown() {
    let home = home();
    let mes = Mes::start(|_, _, _| (200, "", r#"{"error":"key canary=4712 is unknown"}"#));
    let url = format!(
        "http://127.0.0.1:{}/events?plant=1&api_key=canary%3D4712",
        mes.port
    );
    let settings = settings_of(home.path(), &url, "");
    let said = millgate(&settings, &["deliver", "test"]);
    said.says(0, &["are not shown"]);
    let shown = format!("{said:?}");
    assert!(!shown.contains("canary=4712"), "{shown}");
}

/// A word with the id of the event was read: no line of settings makes a rejection of what is one.
#[test]
fn a_rejection_with_a_good_status_is_no_riddle() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = Vec::new();
            let mut part = [0; 4_096];
            let id = loop {
                let length = stream.read(&mut part).unwrap_or(0);
                asked.extend_from_slice(&part[..length]);
                let text = String::from_utf8_lossy(&asked).to_ascii_lowercase();
                let found = text.split("idempotency-key: \"").nth(1);
                let id = found.and_then(|rest| Some(rest.split_once('"')?.0.to_owned()));
                if id.is_some() || length == 0 {
                    break id.unwrap_or_default();
                }
            };
            let body = format!(
                r#"{{"id":"{id}","status":"rejected","code":"order-closed","detail":"WO-1 is closed"}}"#
            );
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).ok();
            // What is still to come is read, so that the answer is not lost to a reset.
            while stream.read(&mut part).is_ok_and(|length| length > 0) {}
        }
    });
    let home = home();
    let settings = settings_of(home.path(), &format!("http://127.0.0.1:{port}/events"), "");
    let said = millgate(&settings, &["deliver", "test"]);
    said.says(65, &["order-closed", "it says: {\"id\""]);
    let shown = format!("{said:?}");
    assert!(!shown.contains("LOOK"), "{shown}");
}

/// A server that says these bytes to whatever comes, and closes.
fn says_bytes(bytes: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = [0; 4_096];
            if stream.read(&mut asked).is_ok() {
                stream.write_all(bytes).ok();
            }
        }
    });
    port
}

#[test]
fn another_protocol_at_the_port_is_told_as_such() {
    const BAD_REQUEST: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    const ALERT: &[u8] = &[0x15, 3, 1, 0, 2, 2, 70];
    const GREETING: &[u8] = &[0x20, 2, 0, 0];
    for (scheme, bytes, version, words) in [
        ("mqtt", BAD_REQUEST, 5, "does not speak MQTT: a web server"),
        ("mqtt", BAD_REQUEST, 3, "does not speak MQTT: a web server"),
        ("mqtt", ALERT, 5, "`mqtts://`"),
        ("mqtt", ALERT, 3, "`mqtts://`"),
        ("mqtt", b"", 5, "`mqtts://`"),
        ("mqtt", b"", 3, "`mqtts://`"),
        ("mqtts", BAD_REQUEST, 5, "does not speak TLS"),
        ("http", GREETING, 0, "does not speak HTTP"),
        ("http", ALERT, 0, "does not speak HTTP"),
        ("https", BAD_REQUEST, 0, "does not speak TLS"),
    ] {
        let home = home();
        let port = says_bytes(bytes);
        let url = format!("{scheme}://127.0.0.1:{port}");
        let uplink = match version {
            0 => format!("{{ http: {{ url: \"{url}/x\" }} }}"),
            version => format!("{{ mqtt: {{ url: \"{url}\", version: {version} }} }}"),
        };
        let settings = settings(home.path(), &uplink, "");
        let said = millgate(&settings, &["deliver", "test"]);
        println!("{scheme} {version} {bytes:?}: {said:?}");
        said.says(69, &[words]);
    }
}

#[test]
fn a_settings_file_is_taken_either_way_or_the_error_says_how() {
    let home = home();
    let settings = settings_of(home.path(), "http://127.0.0.1:1/", "");
    let file = settings.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let made = std::process::Command::new(env!("CARGO_BIN_EXE_millgate"))
            .args(arguments)
            .output()
            .unwrap();
        let told = [made.stdout, made.stderr].concat();
        (
            made.status.code(),
            String::from_utf8_lossy(&told).into_owned(),
        )
    };
    for arguments in [&["check", file][..], &["check", "--config", file]] {
        let (code, told) = run(arguments);
        assert!(code == Some(0) && told.contains("good"), "{told}");
    }
    for arguments in [&["check"][..], &["check", file, "--config", file]] {
        assert_eq!(run(arguments).0, Some(64));
    }
    let (code, told) = run(&["deliver", "test", file]);
    assert_eq!(code, Some(64));
    assert!(told.contains(&format!("--config {file}")), "{told}");
    let (code, told) = run(&["dead-letters", "list", file]);
    assert_eq!(code, Some(64));
    assert!(told.contains(&format!("--config {file}")), "{told}");
    let (code, told) = run(&["run", "/nowhere/gateway.yaml"]);
    assert!(code == Some(66) || code == Some(78), "{code:?} {told}");
    assert!(told.contains("/nowhere/gateway.yaml"), "{told}");
}

#[test]
fn two_tests_have_two_ids_and_a_file_gets_one_of_its_own() {
    let home = home();
    let mes = Mes::start(|_, _, _| GOOD);
    let url = format!("http://127.0.0.1:{}/events", mes.port);
    let settings = settings_of(home.path(), &url, "");
    let file = home.path().join("event.json");
    std::fs::write(&file, r#"{"specversion":"1.0","id":"mine","type":"millgate.quality.result.v1","subject":"PRESS-12/1"}"#).unwrap();
    let file = file.to_str().unwrap();
    for _ in 0..2 {
        millgate(&settings, &["deliver", "test"]).says(0, &["ok"]);
        let said = millgate(&settings, &["deliver", "test", "--event", file, "--json"]);
        let result = said.says(0, &[]).json();
        assert_eq!(result["accepted"], true);
    }
    let mut ids: Vec<String> = mes.came().into_iter().map(|came| came.id).collect();
    assert!(!ids.contains(&"mine".to_owned()));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4);
    std::fs::write(file, "[]").unwrap();
    millgate(&settings, &["deliver", "test", "--event", file]).says(65, &["no JSON object"]);
    millgate(&settings, &["deliver", "test", "--event", "/nowhere"]).says(66, &["/nowhere"]);
    millgate(&settings, &["deliver", "test", "--uplink", "erp"]).says(64, &["no uplink `erp`"]);
}

#[test]
fn a_dry_run_shows_everything_but_the_secret_and_sends_nothing() {
    let home = home();
    let token = home.path().join("token");
    std::fs::write(&token, "canary-4711").unwrap();
    let mes = Mes::start(|_, _, _| GOOD);
    let url = format!(
        "http://127.0.0.1:{}/events?plant=1&sig=canary-4712",
        mes.port
    );
    let more = format!(
        ", bearer: {{ file: {0} }}, headers: {{ X-Api-Key: {{ file: {0} }}, X-Auth-Token: canary-4713, X-Plant: P1 }}",
        token.display()
    );
    let settings = settings_of(home.path(), &url, &more);
    let said = millgate(&settings, &["deliver", "test", "--dry-run"]);
    said.says(
        0,
        &[
            "POST: http://127.0.0.1",
            "Bearer ***",
            "plant=1&sig=***",
            "x-api-key: ***",
            "x-auth-token: ***",
            "x-plant: P1",
            "\"test\": true",
            "nothing was sent",
        ],
    );
    let json = millgate(&settings, &["deliver", "test", "--dry-run", "--json"]);
    assert!(
        json.says(0, &[]).json()["body"]
            .as_str()
            .unwrap()
            .contains("operation.completed")
    );
    for said in [&said, &json] {
        assert!(!format!("{said:?}").contains("canary"), "{said:?}");
    }
    assert!(mes.came().is_empty());
    millgate(&settings, &["deliver", "test"]).says(0, &["accepted"]);
    assert!(
        mes.came()[0]
            .headers
            .contains(&"authorization: bearer canary-4711".to_owned())
    );
    let key = "x-api-key: canary-4711".to_owned();
    assert!(mes.came()[0].headers.contains(&key));
    std::fs::remove_file(&token).unwrap();
    millgate(&settings, &["deliver", "test"]).says(78, &["cannot read the secret"]);
}

#[test]
fn what_cannot_be_reached_says_at_which_step() {
    let home = home();
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let refused = settings_of(home.path(), &format!("http://127.0.0.1:{port}/"), "");
    millgate(&refused, &["deliver", "test"]).says(69, &["connection NO", "nobody listens there"]);
    let nameless = settings_of(home.path(), "http://no-such-host.invalid/", "");
    millgate(&nameless, &["deliver", "test"]).says(69, &["name       NO", "check the host name"]);
}

/// An authorization server that answers each request with these.
fn authority(status: &'static str, body: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = [0; 4_096];
            // The request is small, and comes at once.
            if stream.read(&mut asked).is_err() {
                continue;
            }
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(format!("{head}{body}").as_bytes()).ok();
        }
    });
    port
}

#[test]
fn a_token_is_a_step_of_its_own() {
    let home = home();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "canary-4711").unwrap();
    let mes = Mes::start(|_, _, _| GOOD);
    let url = format!("http://127.0.0.1:{}/events", mes.port);
    let tried = |port: u16| {
        let oauth2 = format!(
            ", oauth2: {{ token_url: \"http://127.0.0.1:{port}/token\", client: gw01, secret: {{ file: {} }} }}",
            secret.display()
        );
        let settings = settings_of(home.path(), &url, &oauth2);
        millgate(&settings, &["deliver", "test"])
    };
    let good = r#"{"access_token":"canary-0815","token_type":"Bearer","expires_in":3600}"#;
    let said = tried(authority("200 OK", good));
    said.says(
        0,
        &["token      ok", "for `gw01`", "good for 3600 s", "accepted"],
    );
    assert!(!format!("{said:?}").contains("canary"), "{said:?}");
    let last = mes.came().pop().unwrap();
    let sent = "authorization: bearer canary-0815".to_owned();
    assert!(last.headers.contains(&sent), "{:?}", last.headers);
    tried(authority("200 OK", r#"{"access_token":"t"}"#)).says(0, &["does not say how long"]);

    let before = mes.came().len();
    let refused = authority("401 Unauthorized", r#"{"error":"invalid_client"}"#);
    tried(refused).says(77, &["token      NO", "it answers 401 invalid_client"]);
    tried(authority("503 Busy", "")).says(69, &["token      NO", "it answers 503"]);
    tried(1).says(69, &["token      NO", "no token from `oauth2.token_url`"]);
    assert_eq!(mes.came().len(), before, "nothing is sent without one");
}
