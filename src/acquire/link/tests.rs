//! The loop with a driver that plays a script, in virtual time.

use super::super::driver::link_error;
use super::*;
use crate::acquire::Conditioner;
use crate::health::DeviceHealth;
use crate::model::{BadReason, Quality, Stamp, TagId, Value};
use std::sync::{Arc, Mutex};

/// What a scripted driver does next.
#[derive(Clone, Debug)]
enum Act {
    /// `next` says that a device answered, after so many milliseconds.
    Answer(u32, u64),
    /// Device 0 answers after so many milliseconds with its heartbeat and, if it has one, its other tag.
    Beat(u64, i64, Option<i64>),
    /// `next` says that a gateway cannot reach a device.
    Unreached(u32),
    /// `next` fails over a device.
    Break(u32, &'static str),
    /// `connect` fails.
    Refuse,
}

/// Plays acts in turn, then stays silent; notes what it was told.
struct Script {
    acts: VecDeque<Act>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn note(&self, what: String) {
        self.told.lock().unwrap().push(what);
    }
}

impl Driver for Script {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.note("connect".into());
        if let Some(Act::Refuse) = self.acts.front() {
            self.acts.pop_front();
            return Err(link_error("refused", "refused"));
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Heard, Failure> {
        let batch = |device, content| Heard {
            device: DeviceId(device),
            stamp: Stamp::default(),
            content,
        };
        match self.acts.pop_front() {
            Some(Act::Answer(device, after_ms)) => {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                self.note(format!("read {device}"));
                Ok(batch(device, Said::Readings(Vec::new())))
            }
            Some(Act::Beat(after_ms, beat, other)) => {
                tokio::time::sleep(Duration::from_millis(after_ms)).await;
                let reading = |(tag, value)| Reading {
                    tag: TagId(tag),
                    stamp: Stamp::default(),
                    source: None,
                    raw: Ok(Value::Int(value)),
                    uncertain: false,
                };
                let said = [(0, beat)].into_iter().chain(other.map(|other| (1, other)));
                Ok(batch(0, Said::Readings(said.map(reading).collect())))
            }
            Some(Act::Unreached(device)) => Ok(batch(
                device,
                Said::Silent(link_error("unreachable", "gateway")),
            )),
            Some(Act::Break(device, code)) => Err(Failure {
                device: Some(DeviceId(device)),
                error: link_error(code, code),
            }),
            Some(Act::Refuse) | None => std::future::pending().await,
        }
    }

    fn rest(&mut self, device: DeviceId, _until: Instant) {
        self.note(format!("rest {}", device.0));
    }
}

/// A running link over a script.
struct Bench {
    batches: mpsc::Receiver<Batch>,
    told: Arc<Mutex<Vec<String>>>,
    health: Vec<Arc<DeviceHealth>>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Bench {
    /// Devices 0.. that are lost after a second, and a channel for so many batches.
    fn start(devices: u32, room: usize, acts: &[Act]) -> Bench {
        Bench::with(devices, room, acts, |device| device)
    }

    /// The same with other devices.
    fn with(devices: u32, room: usize, acts: &[Act], made: fn(Watched) -> Watched) -> Bench {
        let told = Arc::new(Mutex::new(Vec::new()));
        let script = Script {
            acts: acts.iter().cloned().collect(),
            told: told.clone(),
        };
        let health: Vec<Arc<DeviceHealth>> = (0..devices).map(|_| Arc::default()).collect();
        let watched = (0u32..).zip(&health).map(|(id, health)| Watched {
            id: DeviceId(id),
            name: format!("plc{id}"),
            lost_after: Duration::from_secs(1),
            speaks_unasked: false,
            heartbeat: None,
            health: health.clone(),
            conditioner: Conditioner::default(),
        });
        let (out, batches) = mpsc::channel(room);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run_link(
            script,
            "script".into(),
            watched.map(made).collect(),
            Pace::default(),
            Clock::manual(Stamp::default()),
            out,
            stop.clone(),
        ));
        Bench {
            batches,
            told,
            health,
            stop,
            task,
        }
    }

    /// The next batch as a word: `0 good`, `0 lost: refused`.
    async fn next(&mut self) -> String {
        let batch = self.batches.recv().await.expect("the link runs");
        match batch.content {
            Content::Samples(samples) if samples.is_empty() => format!("{} good", batch.device.0),
            Content::Samples(samples) => {
                let usable = samples
                    .iter()
                    .filter_map(|sample| sample.usable()?.number());
                format!("{} says {:?}", batch.device.0, usable.collect::<Vec<_>>())
            }
            Content::Lost(error) => format!("{} lost: {}", batch.device.0, error.code),
        }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_device_that_never_answers_is_lost_once() {
    let start = Instant::now();
    let mut bench = Bench::start(1, 4, &[]);
    assert_eq!(bench.next().await, "0 lost: timeout");
    assert_eq!(start.elapsed().as_secs(), 1);
    let more = tokio::time::timeout(Duration::from_secs(3_600), bench.next()).await;
    assert!(more.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_device_that_comes_back_sends_samples_again() {
    let acts = [
        Act::Answer(0, 0),
        Act::Break(0, "closed"),
        Act::Refuse,
        Act::Refuse,
        Act::Refuse,
        Act::Refuse,
        Act::Refuse,
        Act::Refuse,
        Act::Answer(0, 0),
    ];
    let mut bench = Bench::start(1, 4, &acts);
    assert_eq!(bench.next().await, "0 good");
    assert_eq!(bench.next().await, "0 lost: refused");
    assert_eq!(bench.next().await, "0 good");
    assert_eq!(bench.health[0].connects.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_unit_rests_while_the_others_go_on() {
    let mut acts = vec![Act::Answer(0, 10), Act::Break(1, "timeout")];
    acts.extend(std::iter::repeat_n(Act::Answer(0, 100), 20));
    acts.insert(12, Act::Unreached(1));
    let start = Instant::now();
    let mut bench = Bench::start(2, 64, &acts);
    for _ in 0..10 {
        assert_eq!(bench.next().await, "0 good");
    }
    // The connection was made anew at once: the nine answers took nothing but their own time.
    assert!(
        start.elapsed() < Duration::from_millis(950),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(bench.next().await, "1 lost: timeout");
    assert_eq!(bench.next().await, "0 good");
    let rests = bench.told().iter().filter(|told| *told == "rest 1").count();
    assert_eq!(rests, 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_channel_slows_the_reader_and_loses_nothing() {
    let acts = vec![Act::Answer(0, 1); 100];
    let mut bench = Bench::start(1, 1, &acts);
    // One batch in the channel, the others wait here; and who is not asked is not silent.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let read = bench.told().iter().filter(|told| *told == "read 0").count();
    assert_eq!(read, MAX_WAITING + 1);
    assert!(bench.health[0].waits.get() > 0);
    for _ in 0..100 {
        assert_eq!(bench.next().await, "0 good");
    }
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_while_a_batch_waits_for_room() {
    let mut bench = Bench::start(
        1,
        1,
        &[Act::Answer(0, 0), Act::Answer(0, 0), Act::Answer(0, 50)],
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.told().last().map(String::as_str), Some("read 0"));
    assert_eq!(bench.told().len(), 4);
    for _ in 0..3 {
        assert_eq!(bench.next().await, "0 good");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_read_for_lack_of_room_is_a_gap_and_holds_again_after_it() {
    let mut acts = vec![Act::Beat(0, 1, Some(7))];
    acts.extend((0..MAX_WAITING).map(|_| Act::Beat(100, 1, None)));
    acts.extend([Act::Beat(100, 1, None), Act::Answer(0, 100)]);
    let mut bench = Bench::with(1, 1, &acts, telling_changes);
    // Nobody takes anything: it reads until too much waits, and soon after that says that it does not.
    while bench.health[0].gaps.get() == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bench.told().len(), 1, "one connection, and no loss");
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(bench.health[0].gaps.get(), 1);
    assert_eq!(bench.next().await, "0 says [1.0, 7.0]");
    let mut stamps = Vec::new();
    for _ in 0..MAX_WAITING {
        let batch = bench.batches.recv().await.unwrap();
        stamps.push(batch.stamp.boot);
    }
    let gap = bench.batches.recv().await.unwrap();
    assert!(gap.stamp.boot > *stamps.last().unwrap());
    let Content::Samples(samples) = &gap.content else {
        panic!("{gap:?}");
    };
    let bad = Quality::Bad(BadReason::NotRead);
    assert_eq!(samples.len(), 2);
    assert!(
        samples
            .iter()
            .all(|it| it.quality == bad && it.stamp == gap.stamp)
    );
    // What has not changed is told once more, behind the gap.
    let again = bench.batches.recv().await.unwrap();
    let Content::Samples(samples) = &again.content else {
        panic!("{again:?}");
    };
    assert_eq!(samples.len(), 2);
    assert!(samples.iter().all(|it| it.usable().is_some()));
    assert!(samples.iter().all(|it| it.stamp.boot > gap.stamp.boot));
    assert_eq!(bench.next().await, "0 good");
}

#[tokio::test(start_paused = true)]
async fn a_short_wait_for_room_is_no_gap() {
    let mut acts = vec![Act::Beat(0, 1, Some(7))];
    acts.extend((0..MAX_WAITING + 4).map(|_| Act::Beat(10, 1, None)));
    let mut bench = Bench::with(1, 1, &acts, telling_changes);
    tokio::time::sleep(GAP_AFTER).await;
    assert_eq!(bench.next().await, "0 says [1.0, 7.0]");
    for _ in 0..MAX_WAITING + 4 {
        assert_eq!(bench.next().await, "0 says [1.0]");
    }
    assert_eq!(bench.health[0].gaps.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_is_handed_over_after_the_stop() {
    let mut bench = Bench::start(1, 1, &vec![Act::Answer(0, 0); 5]);
    tokio::time::sleep(Duration::from_millis(10)).await;
    bench.stop.cancel();
    for _ in 0..5 {
        assert_eq!(bench.next().await, "0 good");
    }
    assert_eq!(bench.batches.recv().await, None);
    bench.task.await.expect("the link ended well");
}

#[tokio::test(start_paused = true)]
async fn a_link_ends_when_nobody_listens() {
    let bench = Bench::start(1, 1, &[]);
    drop(bench.batches);
    bench.task.await.expect("the link ended well");
}

#[tokio::test(start_paused = true)]
async fn attempts_grow_rare_while_nothing_answers() {
    let bench = Bench::start(1, 4, &vec![Act::Refuse; 10_000]);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let attempts = bench.told().len();
    // About one in 15 s: evenly drawn waits of at most 30 s.
    assert!((120..600).contains(&attempts), "{attempts}");
}

/// An OPC UA server with a heartbeat that must change within a second, and one other tag.
fn telling_changes(device: Watched) -> Watched {
    Watched {
        heartbeat: None,
        ..with_heartbeat(device)
    }
}

fn with_heartbeat(device: Watched) -> Watched {
    let text = "gateway: { id: gw-1, path: [acme] }\nmachine: M\ndevices:\n  plc:\n    opc_ua: { endpoint: \"opc.tcp://127.0.0.1:4840\" }\n    heartbeat: { tag: beat, must_change_within: 1s }\n    tags:\n      beat: { node: \"ns=2;s=Beat\", type: i32 }\n      run: { node: \"ns=2;s=Run\", type: i32 }\n";
    let plant = crate::settings::load(text).unwrap().plant;
    let settings = plant.devices.first().unwrap();
    Watched {
        heartbeat: settings.heartbeat,
        conditioner: Conditioner::new(&plant.tags, device.health.clone()).of(settings),
        ..device
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_plc_is_lost_though_it_answers_and_returns_with_its_next_heartbeat() {
    let acts = [
        Act::Beat(0, 1, Some(7)),
        Act::Beat(400, 2, None),
        Act::Beat(400, 2, None),
        Act::Beat(600, 2, None),
        Act::Beat(400, 2, Some(8)),
        Act::Beat(400, 3, None),
        Act::Beat(400, 4, None),
    ];
    let mut bench = Bench::with(1, 8, &acts, with_heartbeat);
    // What it said while it was frozen was not handed on; it holds again when the program runs.
    for expected in [
        "0 says [1.0, 7.0]",
        "0 says [2.0]",
        "0 says [2.0]",
        "0 lost: frozen",
        "0 says [3.0, 8.0]",
        "0 says [4.0]",
    ] {
        assert_eq!(bench.next().await, expected);
    }
    assert_eq!(bench.health[0].samples.get(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_tells_changes_only_is_believed_again_after_a_silence() {
    let mut acts = vec![
        Act::Beat(0, 1, Some(7)),
        Act::Answer(0, 1_500),
        Act::Break(0, "closed"),
    ];
    acts.extend(vec![Act::Refuse; 40]);
    acts.extend([Act::Beat(0, 1, None), Act::Answer(0, 1_500)]);
    let mut bench = Bench::with(1, 8, &acts, with_heartbeat);
    assert_eq!(bench.next().await, "0 says [1.0, 7.0]");
    assert_eq!(bench.next().await, "0 lost: timeout");
    assert_eq!(bench.next().await, "0 says [1.0, 7.0]");
    // On a connection that was made after the loss it says all by itself.
    assert_eq!(bench.next().await, "0 lost: refused");
    assert_eq!(bench.next().await, "0 says [1.0]");
    // But of a silence on that connection it knows nothing.
    assert_eq!(bench.next().await, "0 lost: timeout");
    assert_eq!(bench.next().await, "0 says [1.0, 7.0]");
}

#[tokio::test(start_paused = true)]
async fn what_a_server_said_before_an_outage_is_not_made_good_by_a_new_connection() {
    // Lost after the connection was made, before anything was said on it: all comes anew, and may be another value.
    let acts = [
        Act::Beat(0, 1, Some(7)),
        Act::Break(0, "closed"),
        Act::Answer(0, 1_500),
        Act::Beat(10, 1, Some(8)),
    ];
    let mut bench = Bench::with(1, 8, &acts, with_heartbeat);
    for expected in [
        "0 says [1.0, 7.0]",
        "0 lost: closed",
        "0 good",
        "0 says [1.0, 8.0]",
    ] {
        assert_eq!(bench.next().await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_loss_was_told_holds_after_it() {
    // A long cycle: its first answer came before the device was declared lost, its last one after that.
    let acts = [Act::Beat(1_500, 1, Some(7))];
    let mut bench = Bench::with(1, 8, &acts, with_heartbeat);
    let lost = bench.batches.recv().await.unwrap();
    assert!(matches!(lost.content, Content::Lost(_)));
    let back = bench.batches.recv().await.unwrap();
    let Content::Samples(samples) = back.content else {
        panic!("it answers")
    };
    assert_eq!(samples.len(), 2);
    assert!(back.stamp.boot > lost.stamp.boot);
    assert!(samples.iter().all(|one| one.stamp.boot > lost.stamp.boot));
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_waits_while_the_device_is_silent() {
    let acts = [
        Act::Beat(0, 1, None),
        Act::Beat(900, 1, None),
        Act::Unreached(0),
        Act::Beat(900, 1, None),
        Act::Beat(90, 1, None),
        Act::Beat(20, 1, None),
    ];
    let mut bench = Bench::with(1, 8, &acts, with_heartbeat);
    for expected in [
        "0 says [1.0]",
        "0 says [1.0]",
        "0 says [1.0]",
        "0 says [1.0]",
        "0 lost: frozen",
    ] {
        assert_eq!(bench.next().await, expected);
    }
}
