//! Beside a running gateway.

use super::mes::Mes;
use super::{
    Gateway, account, discarded, file, home, letters, settings_for, store, wait_parked, wait_until,
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
fn a_gateway_killed_between_two_steps_counts_each_event_once() {
    let home = home();
    store(home.path(), 40);
    let mes = Mes::of_orders();
    let settings = settings_for(home.path(), &mes, "");
    let gateway = Gateway::start(&settings);
    wait_parked(&settings, 40);
    let before = std::fs::read(file(home.path(), 7)).unwrap();
    letters(&settings, &["discard", "1.7", "1.8", "--reason", "twice"])
        .says(0, &["2 events of mes discarded"]);
    gateway.kill();
    // As if its file had outlived the kill.
    std::fs::write(file(home.path(), 7), before).unwrap();
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
