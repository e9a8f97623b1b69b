//! Destinations and the buffer; and what is only worth a look.

use super::{PRESS, TWO, check, told, warned, with};

#[test]
fn uplinks_have_one_protocol_an_address_and_known_events() {
    check(
        "mqtt://127.0.0.1:1883 ",
        "http://127.0.0.1:1883 ",
        "http://127",
        "the address begins with mqtt:// or mqtts://",
    );
    check(
        "mqtt://127.0.0.1:1883 ",
        "127.0.0.1 ",
        "127.0.0.1  ",
        "write SCHEME://HOST, such as mqtt://HOST:1883",
    );
    check(
        "mqtt://127.0.0.1:1883 ",
        "mqtt://127.0.0.1:1883/plant ",
        "mqtt://127.0.0.1:1883/plant",
        "a broker has no path: write `topic:`",
    );
    check(
        "version: 5",
        "version: 5\n      tls: { ca: /etc/ca.pem }",
        "tls: { ca: /etc",
        "mqtt:// is not encrypted: write mqtts://",
    );
    check(
        "version: 5",
        "version: 5\n      keep_alive: 4s",
        "4s",
        "`keep_alive` is 5s to 65535s",
    );
    check(
        "version: 5",
        "version: 5\n      client_id: \"\"",
        "\"\"",
        "a client id has 1 to 256 bytes",
    );
    check(
        "version: 5",
        "version: 5\n      user: { name: gw, password: { credential: ../x } }",
        "../x",
        "without a path",
    );
    check(
        "[\"operation.*\"",
        "[\"operations.*\"",
        "\"operations.*\"",
        "no event is called `operations.*`; there are operation.started,",
    );
    check(
        "[\"operation.*\"",
        "[\"operation.complete\"",
        "\"operation.complete\"",
        "did you mean `operation.completed`?",
    );
    check(
        "[\"operation.*\"",
        "[\"weather.*\"",
        "\"weather.*\"",
        "no event is called",
    );
    check(
        "/{type}\"",
        "/{typ}\"",
        "\"{enterprise}",
        "`{typ}` is not a variable of topics: {enterprise}, {site},",
    );
    check("/{type}\"", "/#\"", "\"{enterprise}", "has a wildcard");
    check(
        "/{type}\"",
        "/{type\"",
        "\"{enterprise}",
        "has a brace without its partner",
    );
    check(
        "    mqtt:\n",
        "    http: { url: \"http://h/e\" }\n    mqtt:\n",
        "mes:",
        "has both `mqtt:` and `http:`",
    );
}

#[test]
fn the_word_of_the_mes_comes_on_a_topic_of_the_gateway() {
    let mes = |keys: &str| {
        let keys = format!("version: 5\n      {keys}");
        with("version: 5", &keys).replace("acknowledge: broker", "acknowledge: mes")
    };
    let file = super::load(&mes("answers: \"{enterprise}/{site}/_gw/{gateway}/ack\"")).unwrap();
    assert!(!format!("{:?}", file.warnings()).contains("counts as delivered"));
    super::load(&mes("status: \"{enterprise}/_gw/{gateway}/status\"")).unwrap();
    let said = |text: &str| format!("{:?}", told(text));
    for (text, expected) in [
        (
            mes("answers: \"{equipment}/ack\""),
            "`{equipment}` differs from event to event",
        ),
        (mes("answers: \"a/+/ack\""), "has a wildcard"),
        (
            mes("status: \"a/{type}\""),
            "`{type}` differs from event to event",
        ),
        (
            with(
                "acknowledge: broker",
                "ack_timeout: { first: 10s, then_up_to: 1min }",
            ),
            "nobody waits so long: it is the patience with the word of the MES",
        ),
        (
            with("version: 5", "version: 5\n      answers: \"a/b\""),
            "nobody listens to it: write `acknowledge: mes`",
        ),
        (
            mes("window: 64").replace(
                "acknowledge: mes",
                "acknowledge: mes\n    ack_timeout: { first: 10ms }",
            ),
            "`first` is 1s to 1h",
        ),
        (
            mes("window: 64").replace(
                "acknowledge: mes",
                "acknowledge: mes\n    ack_timeout: { then_up_to: 10s }",
            ),
            "shorter than `first`",
        ),
        (
            mes("window: 64").replace("acknowledge: mes", "acknowledge: mes\n    rate_limit: 0/s"),
            "a rate is 1/h to 100000/s",
        ),
        (
            TWO.replace("timeout: 10s }", "timeout: 10s }\n    acknowledge: mes"),
            "`mes` is for MQTT",
        ),
    ] {
        assert!(
            said(&text).contains(expected),
            "{expected}: {}",
            said(&text)
        );
    }
}

#[test]
fn brokers_that_stand_in_are_few_different_and_as_safe_as_the_first() {
    let said = |fallback: &str| {
        let keys = format!("version: 5\n      fallback: [{fallback}]");
        format!("{:?}", told(&with("version: 5", &keys)))
    };
    super::load(&with(
        "version: 5",
        "version: 5\n      fallback: [mqtt://b2, mqtt://b3:2883]",
    ))
    .unwrap();
    assert!(said("mqtts://b2").contains("one broker is encrypted and another is not"));
    assert!(said("http://b2").contains("the address begins with mqtt:// or mqtts://"));
    assert!(said("mqtt://b2/x").contains("a broker has no path"));
    assert!(said("mqtt://b2, mqtt://b2").contains("`mqtt://b2` is the same broker as `mqtt://b2`"));
    for same in ["mqtt://LOCALHOST:1883", "mqtt://[::1]/", "mqtt://127.0.0.1"] {
        assert!(
            said(&format!("\"{same}\"")).contains("is the same broker as `mqtt://127.0.0.1:1883`")
        );
    }
    let five = "mqtt://b1, mqtt://b2, mqtt://b3, mqtt://b4, mqtt://b5";
    assert!(!said(five).contains("[]"), "{}", said(five));
}

#[test]
fn http_uplinks_carry_one_authentication_and_know_whom_they_trust() {
    let http = |keys: &str| {
        let text = TWO.replace(
            "http: { url: \"http://127.0.0.1:8085/events\", timeout: 10s }",
            &format!("http: {{ {keys} }}"),
        );
        assert_ne!(text, TWO);
        told(&text)
            .into_iter()
            .map(|(_, said)| said)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(
        http("url: \"http://h\", bearer: { file: /t }, basic: { name: u, password: { file: /p } }")
            .contains("both `bearer` and `basic`")
    );
    assert!(http("url: \"https://h\", tls: { cert: /c.pem }").contains("`cert` needs its `key:`"));
    let public = TWO.replace("http://127.0.0.1:8085/events", "https://h");
    super::load(&public).expect("the system's authorities are trusted");
    assert!(
        http("url: \"https://h\", tls: { ca: /a, key: { file: /k } }")
            .contains("`key` needs its `cert:`")
    );
    assert!(http("url: \"http://h\", timeout: 10min").contains("`timeout` is 10ms to 30s"));
    assert!(
        http("url: \"http://h\", basic: { name: \"\", password: { file: /p } }")
            .contains("the user's name is empty")
    );
    assert!(http("url: \"http://h\", bearer: geheim").contains(
        "a secret never stands in this file: write `{ credential: NAME }` or `{ file: /PATH }`"
    ));
}

#[test]
fn the_buffer_is_kept_to_sizes_that_work() {
    check(
        "checkpoint_every: 2s",
        "generation_size: 1MiB",
        "1MiB",
        "`1MiB` is out of range: `generation_size` is 4MiB to 32MiB",
    );
    check(
        "checkpoint_every: 2s",
        "checkpoint_every: 0s",
        "0s  ",
        "is too short: at least 100ms",
    );
    for (keys, place, expected) in [
        (
            "max_size: 63MiB",
            "63MiB",
            "`63MiB` is too small: at least 64MiB, eight times `generation_size`",
        ),
        (
            "generation_size: 32MiB, max_size: 128MiB",
            "128MiB",
            "at least 256MiB",
        ),
        (
            "max_size: 2TiB",
            "2TiB",
            "`2TiB` is too large: at most 1TiB",
        ),
        (
            "max_age: 59min",
            "59min",
            "`59min` is too short: at least 1h",
        ),
        ("max_age: 3651d", "3651d", "too long: at most 3650d"),
        (
            "max_age: 5d, keep_delivered: 6d",
            "6d",
            "`6d` is longer than `max_age: 5d`: nothing older than that is kept",
        ),
    ] {
        let written = keys.replace(", ", "\n  ");
        check("checkpoint_every: 2s", &written, place, expected);
    }
    for keys in [
        "max_size: 64MiB",
        "max_size: 1TiB",
        "max_age: 1h\n  keep_delivered: 1h",
    ] {
        super::load(&with("checkpoint_every: 2s", keys)).unwrap();
    }
    check(
        "path: /var/lib/millgate",
        "path: \"\"",
        "\"\"",
        "`path` is empty",
    );
}

#[test]
fn a_buffer_that_gives_events_up_within_a_weekend_is_warned_of() {
    warned(
        PRESS,
        "checkpoint_every: 2s",
        "max_age: 48h",
        "a MES that is away over a long weekend (72h) costs events",
    );
}

#[test]
fn what_is_allowed_and_probably_not_meant_is_a_warning() {
    let warned = |text: &str| {
        let found = super::load(text).unwrap().warnings();
        found
            .into_iter()
            .map(|one| one.message)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert!(warned(PRESS).contains("an event counts as delivered when the broker has it"));
    let own = "the gateway's own events go to";
    assert!(warned(PRESS).contains(own));
    assert!(!warned(&with("version: 5", "version: 3")).contains(own));
    assert!(!warned(&with(", \"gateway.*\"]", "]")).contains(own));
    assert!(
        warned(&with("holding: 3,", "holding: 40004,"))
            .contains("40004 of a manual is `holding: 3`")
    );
    assert!(warned("gateway: { id: g, path: [E] }\nmachine: M\n").contains("no uplinks"));
    assert!(
        warned(&with(
            "version: 5",
            "user: { name: g, password: { file: /no/such } }"
        ))
        .contains("the password travels unencrypted")
    );
    assert!(
        warned(&with(
            "version: 5",
            "user: { name: g, password: { file: /no/such } }"
        ))
        .contains("/no/such is not on this machine")
    );
    assert!(warned(&with(", max_rate: 60/min", "")).contains("without `max_rate:`"));
    assert_eq!(warned(TWO), "");
}
