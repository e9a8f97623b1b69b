//! Beside a running gateway.

use super::mes::Mes;
use super::{
    Gateway, account, discarded, home, letters, settings_for, store, wait_parked, wait_until,
};

#[test]
fn what_was_refused_stays_until_somebody_retries_it_and_keeps_its_id() {
    let home = home();
    store(home.path(), 12);
    let mes = Mes::of_orders();
    let settings = settings_for(home.path(), &mes, "");
    let gateway = Gateway::start(&settings);
    wait_parked(&settings, 12);
    let refused = mes.came().iter().filter(|it| it.status == 422).count();
    assert_eq!(refused, 12, "each was sent once");

    let shown = letters(&settings, &["show", "1.5"]);
    shown.says(
        0,
        &[
            "1.5 of uplink mes",
            "order-closed: 422",
            "rejected: it waits",
            "What it said last:\n{\n  \"code\": \"order-closed\"",
            "\"duration_s\": 1.5",
        ],
    );
    letters(&settings, &["show", "1.99"]).says(65, &["1.99 is not parked"]);
    let id = uuid::Uuid::from_u128(5).to_string();
    letters(&settings, &["show", &id, "--json"]).says(0, &["\"entry\":\"mes/0000000001."]);

    // Which ones?
    letters(&settings, &["retry"]).says(64, &["which ones?"]);
    letters(&settings, &["retry", "1.99", "1.2"]).says(65, &["not parked, or not any more: 1.99"]);
    letters(&settings, &["retry", "--code", "order-locked"]).says(0, &["Nothing to do"]);
    letters(&settings, &["discard", "--all"]).says(64, &["--reason"]);
    letters(&settings, &["discard", "--all", "--reason", " "]).says(64, &["say why"]);
    letters(&settings, &["list", "--uplink", "erp"]).says(64, &["no uplink `erp`"]);
    letters(&settings, &["list", "--age", "2h"]).says(0, &["None of the parked events"]);
    letters(
        &settings,
        &["list", "--age", "1ms", "--equipment", "PRESS-1"],
    )
    .says(0, &["mes: 3 events parked"]);
    letters(&settings, &["list", "--class", "schema"]).says(0, &["None of the parked events"]);

    mes.open();
    letters(
        &settings,
        &[
            "retry",
            "--equipment",
            "PRESS-1",
            "--comment",
            "order reopened",
        ],
    )
    .says(0, &["3 events of mes: the gateway begins within a minute"]);
    wait_until("they are taken", || {
        mes.accepted("operation.completed").len() == 3
    });
    assert_eq!(
        mes.accepted("operation.completed")
            .keys()
            .copied()
            .collect::<Vec<_>>(),
        [1, 5, 9]
    );
    letters(&settings, &["retry", "--all"]).says(0, &["9 events of mes"]);
    wait_until("all are taken", || {
        mes.accepted("operation.completed").len() == 12
    });
    wait_parked(&settings, 0);
    let account = account(&settings);
    assert_eq!(
        (&account["discarded"], &account["waiting"]),
        (&0.into(), &0.into())
    );
    assert!(
        mes.accepted("operation.completed")
            .values()
            .all(|times| *times == 1)
    );
    gateway.stop();
}

#[test]
fn a_gateway_killed_after_a_discard_counts_each_event_once() {
    let home = home();
    store(home.path(), 40);
    let mes = Mes::of_orders();
    let settings = settings_for(home.path(), &mes, "");
    let gateway = Gateway::start(&settings);
    wait_parked(&settings, 40);
    letters(&settings, &["discard", "1.7", "1.8", "--reason", "twice"])
        .says(0, &["2 events of mes discarded"]);
    gateway.kill();
    let gateway = Gateway::start(&settings);
    let counts = account(&settings);
    assert_eq!(
        (&counts["parked"], &counts["discarded"]),
        (&38.into(), &2.into())
    );
    gateway.kill();
    // Without a gateway, and killed right after its start.
    letters(
        &settings,
        &["discard", "--equipment", "PRESS-1", "--reason", "later"],
    )
    .says(
        0,
        &["10 events of mes discarded", "next start takes them off"],
    );
    letters(&settings, &["list", "--json"]).says(0, &["\"discarded\""]);
    letters(&settings, &["retry", "--equipment", "PRESS-1"]).says(0, &["Nothing to do"]);
    Gateway::start(&settings).kill();
    let gateway = Gateway::start(&settings);
    let counts = account(&settings);
    assert_eq!(
        (&counts["parked"], &counts["discarded"]),
        (&28.into(), &12.into())
    );
    gateway.stop();
    let mut listed = discarded(home.path());
    listed.sort_unstable();
    assert_eq!(listed, [1, 5, 7, 8, 9, 13, 17, 21, 25, 29, 33, 37]);
}

#[test]
fn a_gateway_without_a_socket_can_be_read_and_is_not_changed() {
    let home = home();
    store(home.path(), 3);
    let mes = Mes::of_orders();
    let settings = settings_for(home.path(), &mes, "");
    let gateway = Gateway::start(&settings);
    wait_parked(&settings, 3);
    std::fs::remove_file(home.path().join("control.sock")).unwrap();
    letters(&settings, &["list"]).says(0, &["mes: 3 events parked"]);
    letters(&settings, &["retry", "--all"]).says(69, &["is in use", "systemctl restart millgate"]);
    letters(&settings, &["discard", "--all", "--reason", "x"]).says(69, &["is in use"]);
    letters(&settings, &["list", "--json"]).says(0, &["\"rejected\""]);
    gateway.stop();
}

#[test]
fn the_status_says_how_fast_a_backlog_goes_and_when_it_is_gone() {
    let home = home();
    store(home.path(), 2_000);
    let mes = Mes::start(|_, _, _| super::mes::GOOD);
    let url = format!("http://127.0.0.1:{}/events", mes.port);
    let uplink = format!("{{ http: {{ url: \"{url}\" }}, start_at: oldest, rate_limit: 20/s }}");
    let settings = super::settings(home.path(), &uplink, "");
    let gateway = Gateway::start(&settings);
    wait_until("enough was seen", || !account(&settings)["drain"].is_null());
    let drain = account(&settings)["drain"].clone();
    let number = |name: &str| drain[name].as_f64().unwrap();
    assert!((5.0..=60.0).contains(&number("over_s")), "{drain}");
    assert!(number("delivered_per_s") > 1.0 && number("shrinks_per_s") > 1.0);
    assert!((10.0..2_000.0).contains(&number("empty_in_s")), "{drain}");
    super::millgate(&settings, &["buffer", "status"]).says(
        0,
        &[" waiting, ", "/s delivered: about ", "until none waits"],
    );
    gateway.stop();
    assert!(account(&settings)["drain"].is_null());
}

#[test]
fn while_the_destination_takes_nothing_a_retry_says_so_and_a_discard_what_may_be_under_way() {
    let home = home();
    store(home.path(), 8);
    let mes = Mes::start(|_, shut_off, _| match shut_off {
        true => (401, "", ""),
        false => super::mes::CLOSED,
    });
    let settings = settings_for(home.path(), &mes, "");
    let gateway = Gateway::start(&settings);
    wait_parked(&settings, 8);
    mes.open();
    letters(&settings, &["retry", "1.2"]).says(0, &["1 event of mes"]);
    wait_until("it is paused", || !account(&settings)["paused"].is_null());
    letters(&settings, &["retry", "1.3"]).says(
        0,
        &["when the destination takes events, which it does not at present (401"],
    );
    assert!(account(&settings)["drain"].is_null(), "it goes nowhere");
    super::millgate(&settings, &["buffer", "status"])
        .says(0, &["paused: 401", "parked: `millgate dead-letters list`"]);
    letters(
        &settings,
        &["discard", "1.2", "1.3", "1.4", "--reason", "x"],
    )
    .says(
        0,
        &[
            "3 events of mes discarded",
            "trying 2 of them again: one that was under way may have reached",
        ],
    );
    gateway.stop();
}
