//! One uplink at work on a buffer in memory.

use super::oracle::Oracle;
use millgate::buffer::{
    DueParked, Heads, Moment, Outlet, Parked, ParkedRequest, Parking, Record, Request, Retried,
    ToPark,
};
use millgate::deliver::{Timing, prepare, run_uplink};
use millgate::health::UplinkHealth;
use millgate::model::{Position, UplinkId};
use millgate::settings::{Uplink, UplinkProtocol, shape};
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The longest that anything here may take. Far more than it takes: its breach is an error, not a slow machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits of milliseconds, so that a hundred reconnects fit into a test.
pub(super) fn quick() -> Timing {
    Timing {
        first_wait: Duration::from_millis(2),
        longest_wait: Duration::from_millis(40),
        connect_within: Duration::from_secs(5),
        verdict_within: Duration::from_secs(20),
        first_retry: Duration::from_millis(2),
        longest_retry: Duration::from_millis(40),
        between_retries: Duration::from_millis(2),
        ..Timing::default()
    }
}

/// An MQTT uplink from the settings as they would stand in the file.
pub(super) fn mqtt(settings: serde_json::Value) -> Uplink {
    let mqtt: shape::Mqtt = serde_json::from_value(settings).expect("good settings");
    uplink(UplinkProtocol::Mqtt(mqtt))
}

/// An HTTP uplink from the settings as they would stand in the file.
pub(super) fn http(settings: serde_json::Value) -> Uplink {
    let http: shape::Http = serde_json::from_value(settings).expect("good settings");
    uplink(UplinkProtocol::Http(http))
}

fn uplink(protocol: UplinkProtocol) -> Uplink {
    Uplink {
        start_at: shape::StartAt::Oldest,
        ..Uplink::new(UplinkId(0), "mes", protocol)
    }
}

/// An uplink that runs, and the buffer it drains.
pub(super) struct Run {
    pub(super) health: Arc<UplinkHealth>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    settled: watch::Receiver<Position>,
    durable: watch::Sender<Position>,
    aside: Arc<Mutex<Aside>>,
}

impl Run {
    /// Starts delivering `records`, of which the first `durable` are shown at once.
    pub(super) fn start(
        uplink: &Uplink,
        timing: Timing,
        records: &[Record],
        durable: usize,
        oracle: Oracle,
    ) -> Run {
        let gateway = shape::Gateway {
            id: "gw07".into(),
            path: vec!["ACME".into(), "PLANT1".into()],
        };
        let prepared = prepare(&gateway, uplink, timing).expect("good settings");
        let (sender, requests) = mpsc::channel(4);
        let first = durable.checked_sub(1).and_then(|last| records.get(last));
        let (durable, seen) =
            watch::channel(first.map(|record| record.position).unwrap_or_default());
        let (settling, settled) = watch::channel(Position::default());
        let aside = Arc::new(Mutex::new(Aside::default()));
        tokio::spawn(serve(
            records.to_vec(),
            requests,
            seen.clone(),
            settling,
            (oracle, Arc::clone(&aside)),
        ));
        let outlet = Outlet::new(UplinkId(0), Position::default(), sender, seen);
        let health = Arc::new(UplinkHealth::default());
        let stop = CancellationToken::new();
        let task = tokio::spawn(run_uplink(
            prepared,
            outlet,
            Arc::clone(&health),
            stop.clone(),
        ));
        Run {
            health,
            stop,
            task,
            settled,
            durable,
            aside,
        }
    }

    /// What is put aside now.
    pub(super) fn parked(&self) -> Vec<ToPark> {
        let aside = self.aside.lock().expect("no panic");
        aside.events.values().cloned().collect()
    }

    /// Shows the events up to and including this one to the uplink.
    pub(super) fn show(&self, last: &Record) {
        self.durable.send_replace(last.position);
    }

    /// Waits until everything up to this event is settled.
    pub(super) async fn wait_settled(&mut self, last: &Record) {
        let health = Arc::clone(&self.health);
        tokio::time::timeout(
            PATIENCE,
            self.settled.wait_for(|settled| *settled >= last.position),
        )
        .await
        .unwrap_or_else(|_| panic!("not settled up to {}: {health:?}", last.position))
        .expect("the buffer goes on");
    }

    /// How far is settled now.
    pub(super) fn settled(&self) -> Position {
        *self.settled.borrow()
    }

    /// Asks the uplink to stop.
    pub(super) fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// Asks the uplink to stop and waits until it has.
    pub(super) async fn stop(self) -> Arc<UplinkHealth> {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("an uplink that is told to stop stops")
            .expect("without a panic");
        self.health
    }
}

/// Delivers all of `records` to their end, then stops and checks what every delivery must keep.
pub(super) async fn deliver_all(
    uplink: &Uplink,
    timing: Timing,
    records: &[Record],
    oracle: &Oracle,
) -> Arc<UplinkHealth> {
    let mut run = Run::start(uplink, timing, records, records.len(), oracle.clone());
    run.wait_settled(records.last().expect("something to deliver"))
        .await;
    let health = run.stop().await;
    oracle.check(records);
    assert_eq!(
        health.delivered.get(),
        u64::try_from(records.len()).expect("few"),
        "each event is delivered once"
    );
    health
}

/// The buffer's task: answers reads, and asks the oracle about everything that is settled.
async fn serve(
    records: Vec<Record>,
    mut requests: mpsc::Receiver<Request>,
    durable: watch::Receiver<Position>,
    settling: watch::Sender<Position>,
    (oracle, aside): (Oracle, Arc<Mutex<Aside>>),
) {
    let mut settled = Position::default();
    while let Some(request) = requests.recv().await {
        let mut aside = aside.lock().expect("no panic");
        match request {
            Request::Read {
                after,
                max_events,
                reply,
                ..
            } => {
                let last = *durable.borrow();
                let wanted = |record: &&Record| record.position > after && record.position <= last;
                let from = records.partition_point(|record| record.position <= after);
                let found = records.iter().skip(from).filter(wanted).take(max_events);
                // A reader that went away is no matter.
                drop(reply.send(found.cloned().collect()));
            }
            Request::Parked(request) => aside.answer(request, &oracle),
            Request::Settle { settled: done, .. } => {
                let up_to = done.up_to;
                let from = records.partition_point(|record| record.position <= settled);
                records
                    .iter()
                    .skip(from)
                    .take_while(|record| record.position <= up_to)
                    .filter(|record| !aside.ever.contains(&record.position))
                    .for_each(|record| oracle.settled(record));
                settled = settled.max(up_to);
            }
            Request::Look(_) => {}
        }
        // Events that are put aside are not done.
        let waits = aside.events.keys().min().copied();
        let done = waits.map_or(settled, |first| Position {
            seq: settled.seq.min(first.seq - 1),
            ..settled
        });
        settling.send_if_modified(|shown| std::mem::replace(shown, done) != done);
    }
}

/// What was put aside, in memory.
#[derive(Default)]
struct Aside {
    events: BTreeMap<Position, ToPark>,
    ever: HashSet<Position>,
}

impl Aside {
    fn answer(&mut self, request: ParkedRequest, oracle: &Oracle) {
        match request {
            ParkedRequest::Park { event, reply, .. } => {
                self.ever.insert(event.record.position);
                self.events.insert(event.record.position, *event);
                drop(reply.send((Parking::Done, Vec::new())));
            }
            ParkedRequest::Due { reply, .. } => drop(reply.send((self.due(), Vec::new()))),
            ParkedRequest::Heads { reply, .. } => {
                let keys = self.events.values();
                let keys = keys.map(|event| event.record.envelope.partition_key.clone());
                let heads = Heads {
                    due: self.due(),
                    groups: Vec::new(),
                    keys: keys.collect(),
                };
                drop(reply.send(heads));
            }
            ParkedRequest::Retried {
                position, retried, ..
            } if *retried == Retried::Delivered => {
                if let Some(event) = self.events.remove(&position) {
                    oracle.settled(&event.record);
                }
            }
            ParkedRequest::Retried { .. } | ParkedRequest::Change { .. } => {}
        }
    }

    fn due(&self) -> DueParked {
        let Some(event) = self.events.values().next() else {
            return DueParked::Never;
        };
        DueParked::Event(Box::new(Parked {
            record: event.record.clone(),
            class: event.class,
            state: event.state,
            attempts: event.attempts,
            first_attempt: Moment::default(),
            last_attempt: Moment::default(),
            answers: vec![event.answered.clone()],
            audit: Vec::new(),
        }))
    }
}

/// Waits until `what` holds, by asking now and then; fails when it does not come to hold.
pub(super) async fn wait_until(words: &str, mut what: impl FnMut() -> bool) {
    let asked = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, asked).await.is_ok(),
        "waited in vain until {words}"
    );
}
