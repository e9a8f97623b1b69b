//! The loop with a driver that plays a script, in virtual time.

use super::super::driver::link_error;
use super::*;
use crate::acquire::Conditioner;
use crate::health::DeviceHealth;
use crate::model::Stamp;
use std::sync::{Arc, Mutex};

/// What a scripted driver does next.
#[derive(Clone, Debug)]
enum Act {
    /// `next` says that a device answered, after so many milliseconds.
    Answer(u32, u64),
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
            health: health.clone(),
            conditioner: Conditioner::default(),
        });
        let (out, batches) = mpsc::channel(room);
        let stop = CancellationToken::new();
        let task = tokio::spawn(run_link(
            script,
            "script".into(),
            watched.collect(),
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
            Content::Samples(_) => format!("{} good", batch.device.0),
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
