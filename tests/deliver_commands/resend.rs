//! `deliver resend`: same ids, same bytes, in order per machine, from what `keep_delivered` still has.

use crate::dead_letters::mes::{Came, GOOD, Mes};
use crate::dead_letters::{Gateway, account, home, millgate, settings_for, store, wait_until};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const KEEP: &str = ", keep_delivered: 1h";

/// Delivers all events of the store.
fn delivered(settings: &Path, mes: &Mes, events: usize) -> Gateway {
    let gateway = Gateway::start(settings);
    wait_until("all are delivered", || {
        mes.accepted("operation.completed").len() == events
    });
    wait_until("all are settled", || account(settings)["waiting"] == 0);
    gateway
}

/// Events by machine, in the order in which they came.
fn order(came: &[Came]) -> BTreeMap<String, Vec<u128>> {
    let mut order: BTreeMap<String, Vec<u128>> = BTreeMap::new();
    for came in came {
        let id: uuid::Uuid = came.id.parse().unwrap();
        order
            .entry(came.key.clone())
            .or_default()
            .push(id.as_u128());
    }
    order
}

#[test]
fn delivered_events_come_again_as_they_were_beside_a_gateway_and_without() {
    let home = home();
    store(home.path(), 300);
    let mes = Mes::start(|_, _, _| GOOD);
    let settings = settings_for(home.path(), &mes, KEEP);
    let gateway = delivered(&settings, &mes, 300);
    let first = mes.came().len();
    let resend = |from: &str, to: &str| {
        let range = [
            "deliver", "resend", "--from", from, "--to", to, "--rate", "2000/s",
        ];
        millgate(&settings, &range)
    };
    resend("1.11", "1.210").says(0, &["mes: 200 events sent again and accepted, 0 rejected"]);
    let again = mes.came().split_off(first);
    assert_eq!(again.len(), 200);
    for (_, ids) in order(&again) {
        assert_eq!(ids.len(), 50);
        assert!(ids.is_sorted(), "{ids:?}");
    }
    let before: BTreeMap<String, String> = mes
        .came()
        .into_iter()
        .take(first)
        .map(|it| (it.id, it.body))
        .collect();
    assert!(again.iter().all(|it| before[&it.id] == it.body));
    // By time: each event of the store happened in its own second of 1970.
    resend("1970-01-01T00:00:10Z", "1970-01-01T00:00:19Z").says(0, &["mes: 10 events sent again"]);
    let counts = account(&settings);
    gateway.stop();
    resend("1.1", "1.300").says(0, &["mes: 300 events sent again"]);
    assert_eq!(
        account(&settings)["delivered"],
        counts["delivered"],
        "nothing is counted twice"
    );
    resend("1.9", "1.8").says(64, &["`--from` is later than `--to`"]);
    resend("7.1", "7.9").says(66, &["buffer.keep_delivered", "at present 1h"]);
}

#[test]
fn what_is_not_delivered_is_not_sent_and_nothing_kept_says_what_to_set() {
    let home = home();
    store(home.path(), 20);
    let mes = Mes::of_orders();
    let settings = settings_for(home.path(), &mes, KEEP);
    let gateway = Gateway::start(&settings);
    wait_until("all are parked", || account(&settings)["parked"] == 20);
    let resend = ["deliver", "resend", "--from", "1.1", "--to", "1.20"];
    millgate(&settings, &resend).says(66, &["20 events of the range never taken"]);
    let discard = ["dead-letters", "discard", "1.3", "--reason", "x"];
    millgate(&settings, &discard).says(0, &["1 event of mes discarded"]);
    mes.open();
    millgate(&settings, &resend).says(66, &["20 events of the range never taken"]);
    gateway.stop();

    let home = crate::dead_letters::home();
    store(home.path(), 2_000);
    let mes = Mes::start(|_, _, _| GOOD);
    let settings = settings_for(home.path(), &mes, "");
    let gateway = delivered(&settings, &mes, 2_000);
    let resend = ["deliver", "resend", "--from", "1.1", "--to", "1.20"];
    let nothing = ["`buffer.keep_delivered`", "nothing at present"];
    wait_until("the old generations are gone", || {
        millgate(&settings, &resend).code == 66
    });
    millgate(&settings, &resend).says(66, &nothing);
    gateway.stop();
    millgate(&settings, &resend).says(66, &nothing);
}

#[test]
fn a_destination_at_fault_ends_it_and_says_where_to_go_on() {
    let home = home();
    store(home.path(), 40);
    let mes = Mes::start(|_, _, before| match before {
        0 => GOOD,
        // After it was restored it knows no token any more.
        _ => (401, "", ""),
    });
    let settings = settings_for(home.path(), &mes, KEEP);
    let gateway = delivered(&settings, &mes, 40);
    let said = millgate(
        &settings,
        &["deliver", "resend", "--from", "1.5", "--to", "1.40"],
    );
    said.says(
        77,
        &["does not let this gateway in", "`--from 1.5` goes on"],
    );
    gateway.stop();
}

#[test]
fn the_rate_is_kept_and_an_interruption_says_where_to_go_on() {
    let home = home();
    store(home.path(), 200);
    let mes = Mes::start(|_, _, _| GOOD);
    let settings = settings_for(home.path(), &mes, KEEP);
    delivered(&settings, &mes, 200).stop();
    let first = mes.came().len();
    let began = Instant::now();
    let range = [
        "deliver", "resend", "--from", "1.1", "--to", "1.60", "--rate", "50/s",
    ];
    millgate(&settings, &range).says(0, &["60 events sent again"]);
    assert!(
        began.elapsed().as_millis() >= 1_100,
        "{:?}",
        began.elapsed()
    );

    let child = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args([
            "deliver", "resend", "--from", "1.1", "--to", "1.200", "--rate", "20/s", "--config",
        ])
        .arg(&settings)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("some have come", || mes.came().len() >= first + 60 + 5);
    let id = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
    let said = crate::dead_letters::Said::of(&child.wait_with_output().unwrap());
    said.says(130, &["broken off before the end; `--from 1."]);
    let from = said.err.split("--from 1.").nth(1).unwrap();
    let from: usize = from.split('`').next().unwrap().parse().unwrap();
    let came = mes.came().len() - first - 60;
    assert!(came < 190 && from <= came + 1, "{from} after {came}");
}

#[test]
fn what_the_list_of_discards_does_not_reach_is_left_out_unless_somebody_says_yes() {
    let home = home();
    store(home.path(), 20);
    let mes = Mes::of_orders();
    let settings = settings_for(home.path(), &mes, KEEP);
    let gateway = Gateway::start(&settings);
    wait_until("all are parked", || account(&settings)["parked"] == 20);
    let discard = ["dead-letters", "discard", "1.3", "1.5", "--reason", "x"];
    millgate(&settings, &discard).says(0, &["2 events of mes discarded"]);
    mes.open();
    millgate(&settings, &["dead-letters", "retry", "--all"]).says(0, &["18 events"]);
    wait_until("the others are taken, and their files gone", || {
        let list = millgate(&settings, &["dead-letters", "list"]);
        list.out.contains("No dead letters")
    });
    let resend = |more: &[&str]| {
        let range = [
            "deliver", "resend", "--from", "1.1", "--to", "1.20", "--rate", "1000/s",
        ];
        millgate(&settings, &[&range, more].concat())
    };
    resend(&[]).says(
        0,
        &["18 events sent again", "2 events of the range never taken"],
    );
    // As after its rotation: the oldest line is gone.
    let list = home.path().join("parked/mes/discarded.jsonl");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, text.split_once('\n').unwrap().1).unwrap();
    let before = mes.came().len();
    let json = resend(&["--json"]);
    assert_eq!(json.code, 65, "{json:?}");
    assert_eq!(json.json()["perhaps_discarded"], 19);
    resend(&[]).says(65, &["19 events not sent", "goes back to 20", "`--yes`"]);
    std::fs::remove_file(&list).unwrap();
    resend(&[]).says(65, &["20 events not sent", "is gone"]);
    assert_eq!(mes.came().len(), before);
    resend(&["--yes"]).says(0, &["20 events sent again"]);
    gateway.stop();
}

#[test]
fn beside_a_gateway_the_rate_limit_is_shared_and_the_gateway_leaves_that_much_out() {
    let home = home();
    store(home.path(), 60);
    let mes = Mes::start(|_, _, _| GOOD);
    let url = format!("http://127.0.0.1:{}/events", mes.port);
    let uplink = format!(
        "{{ http: {{ url: \"{url}\" }}, start_at: oldest, events: [\"operation.*\"], rate_limit: 40/s }}"
    );
    let settings = crate::dead_letters::settings(home.path(), &uplink, KEEP);
    let gateway = delivered(&settings, &mes, 60);
    let range = [
        "deliver", "resend", "--from", "1.1", "--to", "1.60", "--rate", "500/s",
    ];
    let began = Instant::now();
    millgate(&settings, &range).says(
        0,
        &[
            "at most 20/s: the gateway has the other 20/s",
            "60 events sent again",
        ],
    );
    assert!(
        began.elapsed().as_millis() >= 2_800,
        "{:?}",
        began.elapsed()
    );
    gateway.stop();
    let began = Instant::now();
    millgate(&settings, &range).says(0, &["at most 40/s: no gateway runs", "60 events sent"]);
    assert!(
        began.elapsed().as_millis() >= 1_400,
        "{:?}",
        began.elapsed()
    );
}
