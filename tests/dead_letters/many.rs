//! One closed order with as many events as may be parked: one line in the list, a few alerts, and gone within seconds.

use super::mes::Mes;
use super::{
    Gateway, account, discarded, home, letters, settings_for, store, wait_parked, wait_until,
};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn ten_thousand_refusals_are_one_line_and_a_few_alerts_and_can_be_discarded_at_once() {
    const EVENTS: u64 = 10_000;
    let home = home();
    store(home.path(), EVENTS);
    let mes = Mes::of_orders();
    let settings = settings_for(home.path(), &mes, "");
    let began = Instant::now();
    let gateway = Gateway::start(&settings);
    wait_parked(&settings, EVENTS);
    let parking = began.elapsed();

    let began = Instant::now();
    let said = letters(&settings, &["list"]);
    println!("parked in {parking:?}, listed in {:?}", began.elapsed());
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
    said.says(
        0,
        &[
            "mes: 10,000 events parked",
            "  10,000  business  order-closed",
        ],
    );
    let rows = said
        .out
        .lines()
        .filter(|line| line.contains("order-closed"));
    assert_eq!(
        rows.count(),
        1 + 1,
        "the group and its detail:\n{}",
        said.out
    );
    let groups = &letters(&settings, &["list", "--json"]).json()["uplinks"][0]["groups"];
    assert_eq!(groups.as_array().unwrap().len(), 1);

    // At most one alert a minute for the code, with the number of them in it.
    let minutes = 1 + usize::try_from(parking.as_secs() / 60).unwrap();
    wait_until("an alert is delivered", || {
        !mes.accepted("gateway.delivery.alert").is_empty()
    });
    let alerts = mes
        .came()
        .iter()
        .filter(|it| it.body.contains("dead_letter"))
        .count();
    assert!(
        (1..=minutes + 1).contains(&alerts),
        "{alerts} alerts in {minutes} minutes"
    );

    broken_off_after_some(&settings, &gateway);

    let began = Instant::now();
    let discard = [
        "discard",
        "--code",
        "order-closed",
        "--reason",
        "order written off",
    ];
    let left = EVENTS - u64::try_from(discarded(home.path()).len()).unwrap();
    letters(&settings, &discard).says(0, &["events of mes discarded"]);
    println!("discarded in {:?}", began.elapsed());
    let line = gateway.says("parked events are discarded");
    assert!(
        line.contains("order written off") && line.contains(&left.to_string()),
        "{line}"
    );
    let after = account(&settings);
    assert_eq!(
        (&after["parked"], &after["discarded"]),
        (&0.into(), &EVENTS.into())
    );
    let listed = discarded(home.path());
    assert_eq!(listed, (1..=EVENTS).collect::<Vec<_>>());
    letters(&settings, &["list"]).says(0, &["No dead letters"]);
    gateway.stop();
    assert_eq!(account(&settings)["discarded"], EVENTS);
}

/// Somebody discards them, thinks better of it, and learns how far that came, as does the log.
fn broken_off_after_some(settings: &Path, gateway: &Gateway) {
    let child = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["dead-letters", "discard", "--all", "--reason", "too early"])
        .arg("--config")
        .arg(settings)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    gateway.says("too early");
    let id = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
    let said = super::Said::of(&child.wait_with_output().unwrap());
    said.says(130, &["are as before", "broken off before the end"]);
    let done = said.out.split(' ').next().unwrap().replace(',', "");
    let line = gateway.says("that was broken off");
    assert!(
        line.contains(&format!("changed={done}")),
        "{line}\n{said:?}"
    );
    let listed = account(settings)["discarded"].as_u64().unwrap();
    assert_eq!(listed.to_string(), done);
}
