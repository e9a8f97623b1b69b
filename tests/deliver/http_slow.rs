//! A MES that does not get on with the events of one machine and takes those of others at once: the others are not kept waiting.

use super::mes::{Mes, Reply, Seen};
use super::oracle::{MACHINES, Oracle, event};
use super::run::{Run, http, quick, wait_until};
use millgate::buffer::Record;
use serde_json::json;
use tokio::sync::watch;

/// Events of the slow machine ahead of the live ones: more than are read ahead.
const BACKLOG: u64 = 1_000;
const LIVE: u64 = 60;

/// One event of that machine.
fn of(machine: &str, seq: u64) -> Record {
    let mut record = event(seq, 0);
    let text = String::from_utf8(record.payload.to_vec()).expect("JSON");
    record.payload = text.replace(&record.envelope.partition_key, machine).into();
    record.envelope.partition_key = machine.into();
    record.envelope.equipment = Some(machine.into());
    record
}

/// The first event of the slow machine is under way for as long as it takes all live events of the others to be delivered,
/// one after the other.
async fn others_pass(batch: u64) {
    let [slow, other, third] = MACHINES;
    let oracle = Oracle::default();
    let (answer, held) = watch::channel(false);
    let mes = Mes::start(&oracle, move |seen: &Seen| {
        // A batch is named after its first event.
        if seen.machine == slow || seen.id.as_u128() <= u128::from(BACKLOG) {
            Reply::Held(held.clone())
        } else {
            Reply::status(200)
        }
    })
    .await;
    let mut records: Vec<Record> = (1..=BACKLOG).map(|seq| of(slow, seq)).collect();
    let turn = [other, third].into_iter().cycle();
    let live = turn.zip(BACKLOG + 1..=BACKLOG + LIVE);
    records.extend(live.map(|(machine, seq)| of(machine, seq)));
    let uplink = http(json!({ "url": mes.url(), "batch": batch }));
    let shown = usize::try_from(BACKLOG).expect("few");
    let mut run = Run::start(&uplink, quick(), &records, shown, oracle.clone());
    for (record, nth) in records.iter().skip(shown).zip(1..) {
        run.show(record);
        let health = std::sync::Arc::clone(&run.health);
        wait_until("the live event passes", || health.delivered.get() == nth).await;
    }
    assert_eq!(run.settled().seq, 0, "the slow machine's first one waits");
    assert_eq!(oracle.arrivals() as u64, LIVE + batch);
    assert!(run.parked().is_empty(), "and nothing is put aside");
    answer.send_replace(true);
    run.wait_settled(&records[records.len() - 1]).await;
    run.stop().await;
    oracle.check(&records);
    oracle.check_repeats(&records, 0);
}

#[tokio::test]
async fn live_events_of_other_machines_pass_a_slow_one_and_its_backlog() {
    others_pass(1).await;
}

#[tokio::test]
async fn the_same_in_batches() {
    others_pass(10).await;
}
