//! The loop that owns one driver: connects, reads, hands over, backs off, and decides when a device is lost.
//!
//! One task per link runs this, for all drivers alike. While it waits for the driver it also hands over what waits for room
//! in the next stage and watches for silence, so neither holds up the other.

use super::driver::{Driver, Failure, Heard, Reading, Said};
use super::heartbeat::Beat;
use super::quiet::Quiet;
use super::watch::{Watch, Watched};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::model::{Batch, Content, DeviceId, LinkError, Stamp};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

/// Batches that wait for room in the next stage before reading waits too. A batch is one poll cycle of one device, so
/// this is what a shared link of that many devices brings at once.
const MAX_WAITING: usize = 16;
/// How long reading waits for room before what was not read is a gap in the data: a disk that stalls for a moment makes
/// none, a full one does.
const GAP_AFTER: Duration = Duration::from_secs(3);

/// First and longest wait between two attempts.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bound of the first wait.
    pub first: Duration,
    /// Bound of all later ones.
    pub longest: Duration,
}

impl Default for Pace {
    /// The house rule: 1 s doubling to 30 s.
    fn default() -> Self {
        Pace {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(30),
        }
    }
}

impl Pace {
    fn backoff(self) -> Backoff {
        Backoff::new(self.first, self.longest, fastrand::u64(..))
    }
}

/// Runs one driver until `stop`, or until nobody takes the batches any more. What was read is handed over before it ends.
///
/// A device without a good answer for its `lost_after` is declared lost once; an exception is an answer. A failure rests
/// the device that was being asked by its own back-off and the others of the link go on at once; the link itself backs
/// off where nothing on it works. A full channel stops the reading after the request that is under way, and is counted.
pub async fn run_link<D: Driver>(
    mut driver: D,
    name: String,
    devices: Vec<Watched>,
    pace: Pace,
    clock: Clock,
    out: mpsc::Sender<Batch>,
    stop: CancellationToken,
) {
    let now = Instant::now();
    let mut link = LinkLoop {
        name,
        watches: devices
            .into_iter()
            .map(|device| Watch::new(device, pace.backoff(), now))
            .collect(),
        backoff: pace.backoff(),
        not_before: now,
        proven: false,
        waiting: VecDeque::new(),
        quiet: Quiet::new(now),
        clock,
        out,
        stop,
    };
    // `None` is the wish to stop, or the end of the next stage.
    let ended: Option<()> = link.keep(&mut driver).await;
    driver.close().await;
    debug!(link = %link.name, stopped = ended.is_none(), "link ends");
    link.hand_over_rest().await;
}

/// The state of a running link.
struct LinkLoop {
    name: String,
    watches: Vec<Watch>,
    /// Of the link as a whole.
    backoff: Backoff,
    /// No attempt to connect before.
    not_before: Instant,
    /// Something answered on this connection.
    proven: bool,
    /// Read, but not yet taken by the next stage; at most [`MAX_WAITING`], and one loss and one gap per device.
    waiting: VecDeque<Batch>,
    quiet: Quiet,
    clock: Clock,
    out: mpsc::Sender<Batch>,
    stop: CancellationToken,
}

impl LinkLoop {
    /// Connects and reads, again and again. `None` when it is time to end.
    async fn keep<D: Driver>(&mut self, driver: &mut D) -> Option<()> {
        loop {
            self.attend(sleep_until(self.next_attempt())).await?;
            self.watches.iter_mut().for_each(Watch::connecting);
            match self.attend(driver.connect()).await? {
                Ok(()) => {
                    self.connected();
                    self.read(driver).await?;
                }
                Err(error) => self.unreachable(&error),
            }
        }
    }

    /// Reads until the connection breaks.
    async fn read<D: Driver>(&mut self, driver: &mut D) -> Option<()> {
        loop {
            match self.attend(driver.next()).await? {
                Ok(heard) => self.heard(heard, driver),
                Err(failure) => {
                    self.broken(failure, driver);
                    return Some(());
                }
            }
            self.wait_for_room(driver).await?;
        }
    }

    /// Reads no more while too much waits. The devices cannot answer meanwhile, so the time does not count as silence. Where
    /// it takes long, all their tags are bad from the last reading until the next: nobody knows what they were.
    async fn wait_for_room<D: Driver>(&mut self, driver: &mut D) -> Option<()> {
        let since = Instant::now();
        let mut gap = false;
        while self.waiting.len() >= MAX_WAITING {
            select! {
                step = self.meanwhile(None) => step?,
                () = driver.idle() => {}
                () = sleep_until(since + GAP_AFTER), if !gap => {
                    gap = true;
                    self.mark_gap();
                }
            }
        }
        let waited = since.elapsed();
        for watch in &mut self.watches {
            watch.excuse(waited);
        }
        Some(())
    }

    /// Nothing is read from here on: that goes behind what waits, so that the next stage knows it before it learns that time
    /// has passed.
    fn mark_gap(&mut self) {
        let mark = |watch: &mut Watch| {
            let (stamp, samples) = watch.not_read()?;
            Some(Batch {
                device: watch.device.id,
                stamp,
                content: Content::Samples(samples),
            })
        };
        let marks: Vec<Batch> = self.watches.iter_mut().filter_map(mark).collect();
        self.waiting.extend(marks);
        let name = self.name.clone();
        self.say(|swallowed| warn!(link = %name, swallowed, "not read: nothing takes what was read before"));
    }

    /// Waits for `work`, and does what is to be done meanwhile. `None` when it is time to end.
    async fn attend<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        if self.stop.is_cancelled() {
            return None;
        }
        let mut work = pin!(work);
        loop {
            let silence = self.watches.iter().filter_map(Watch::deadline).min();
            select! {
                biased;
                done = &mut work => return Some(done),
                step = self.meanwhile(silence) => step?,
            }
        }
    }

    /// Waits for one of: room for a batch that waits, the end of a silence, the wish to stop (`None`). Cancel-safe.
    async fn meanwhile(&mut self, silence: Option<Instant>) -> Option<()> {
        let waits = !self.waiting.is_empty();
        let somebody_is_silent = select! {
            () = self.stop.cancelled() => return None,
            room = self.out.reserve(), if waits => {
                let room = room.ok()?;
                if let Some(batch) = self.waiting.pop_front() {
                    room.send(batch);
                }
                false
            }
            () = self.out.closed(), if !waits => return None,
            () = sleep_until(silence.unwrap_or_else(Instant::now)), if silence.is_some() => true,
        };
        if somebody_is_silent {
            self.declare_losses();
        }
        Some(())
    }

    /// When connecting makes sense: something on the link may be asked, and the link has been left alone long enough.
    fn next_attempt(&self) -> Instant {
        let now = Instant::now();
        let ready = self.watches.iter().map(|watch| watch.ready(now)).min();
        ready.unwrap_or(now).max(self.not_before)
    }

    fn connected(&mut self) {
        self.proven = false;
        for watch in &self.watches {
            watch.device.health.connects.add(1);
        }
        let name = self.name.clone();
        self.say(|swallowed| info!(link = %name, swallowed, "connected"));
    }

    /// A device said something, or a gateway said that it says nothing.
    fn heard<D: Driver>(&mut self, heard: Heard, driver: &mut D) {
        self.proven = true;
        self.backoff.reset();
        let now = Instant::now();
        let device = heard.device;
        match heard.content {
            Said::Readings(readings) => self.answered(device, heard.stamp, readings, now),
            Said::Silent(error) => self.rest(device, error, driver, now),
        }
    }

    /// A device answered: what it said is conditioned and handed over, unless its program stands still.
    fn answered(
        &mut self,
        device: DeviceId,
        stamp: Stamp,
        mut readings: Vec<Reading>,
        now: Instant,
    ) {
        let clock = self.clock.clone();
        let Some(watch) = self.watch(device) else {
            return;
        };
        let anew = watch.tells_anew();
        let was_lost = watch.answered(now);
        let was_unread = watch.read_again();
        let stamp = watch.after_loss(stamp, &mut readings);
        let beat = watch.beat(&readings, now);
        let conditioner = &mut watch.device.conditioner;
        if conditioner.needs_utc() {
            conditioner.set_synchronised(clock.quality().synchronised);
        }
        let content = match beat {
            Beat::Stands => {
                conditioner.keep(&readings);
                None
            }
            Beat::Stops => {
                conditioner.keep(&readings);
                Some(Content::Lost(watch.freeze()))
            }
            Beat::Lives | Beat::Returns => {
                let returns = (was_lost || was_unread) && !anew || beat == Beat::Returns;
                let samples = conditioner.hear(readings, stamp, returns);
                let count = u64::try_from(samples.len()).unwrap_or(u64::MAX);
                watch.device.health.samples.add(count);
                Some(Content::Samples(samples))
            }
        };
        self.tell(device, was_lost, beat);
        if let Some(content) = content {
            self.pass_on(Batch {
                device,
                stamp,
                content,
            });
        }
    }

    /// Says in the log what an answer brought: the device is back, its program stands, its clock is wrong.
    fn tell(&mut self, device: DeviceId, was_lost: bool, beat: Beat) {
        let Some(watch) = self.watch(device) else {
            return;
        };
        let news = watch.device.conditioner.take_news();
        if news.is_empty() && !was_lost && matches!(beat, Beat::Lives | Beat::Stands) {
            return;
        }
        let name = watch.device.name.clone();
        if was_lost {
            self.say(|swallowed| info!(device = %name, swallowed, "answers again"));
        }
        match beat {
            Beat::Stops => self.say(|swallowed| {
                warn!(device = %name, swallowed, "lost: its heartbeat stands still: is its program running?");
            }),
            Beat::Returns => self.say(|swallowed| info!(device = %name, swallowed, "its heartbeat changes again")),
            Beat::Lives | Beat::Stands => {}
        }
        for news in news {
            self.say(|swallowed| warn!(device = %name, swallowed, "{news}"));
        }
    }

    /// The connection broke, most likely over the device that was being asked.
    fn broken<D: Driver>(&mut self, failure: Failure, driver: &mut D) {
        let now = Instant::now();
        for watch in &mut self.watches {
            watch.cut_off(now);
        }
        // A time-out says something of one device; anything else on a connection that never worked, of the link.
        if failure.device.is_none() || (!self.proven && failure.error.code != "timeout") {
            self.not_before = now + self.backoff.next_wait();
        }
        match failure.device {
            Some(device) => self.rest(device, failure.error, driver, now),
            None => self.note(&failure.error),
        }
    }

    /// There is no connection.
    fn unreachable(&mut self, error: &LinkError) {
        self.not_before = Instant::now() + self.backoff.next_wait();
        self.note(error);
    }

    /// Leaves one device alone for a while.
    fn rest<D: Driver>(
        &mut self,
        device: DeviceId,
        error: LinkError,
        driver: &mut D,
        now: Instant,
    ) {
        let name = self.watch(device).map(|watch| watch.device.name.clone());
        let name = name.unwrap_or_default();
        self.say(|swallowed| warn!(device = %name, code = error.code, swallowed, "{error}"));
        if let Some(watch) = self.watch(device) {
            let until = watch.missed(error, now);
            driver.rest(device, until);
        }
    }

    /// Trouble of the whole link.
    fn note(&mut self, error: &LinkError) {
        let devices: Vec<&str> = self
            .watches
            .iter()
            .map(|one| one.device.name.as_str())
            .collect();
        let devices = devices.join(", ");
        self.say(|swallowed| warn!(%devices, code = error.code, swallowed, "{error}"));
        for watch in &mut self.watches {
            watch.unreachable(error);
        }
    }

    fn declare_losses(&mut self) {
        let now = Instant::now();
        let stamp = self.clock.now();
        let lose = |watch: &mut Watch| {
            let error = watch.lose(now)?;
            watch.told_lost(stamp);
            Some((watch.device.clone(), error))
        };
        let lost: Vec<_> = self.watches.iter_mut().filter_map(lose).collect();
        for (device, error) in lost {
            self.say(|swallowed| warn!(device = %device.name, swallowed, "lost: {error}"));
            self.pass_on(Batch {
                device: device.id,
                stamp,
                content: Content::Lost(error),
            });
        }
    }

    /// Hands over at once where there is room, else counts that it has to wait.
    fn pass_on(&mut self, batch: Batch) {
        let device = batch.device;
        if let Some(watch) = self.watch(device) {
            watch.handed_over(batch.stamp);
        }
        self.waiting.push_back(batch);
        while let Ok(room) = self.out.try_reserve() {
            let Some(next) = self.waiting.pop_front() else {
                return;
            };
            room.send(next);
        }
        if !self.waiting.is_empty()
            && let Some(watch) = self.watch(device)
        {
            watch.device.health.waits.add(1);
        }
    }

    /// What was read reaches the next stage, however full it is.
    async fn hand_over_rest(&mut self) {
        while let Some(batch) = self.waiting.pop_front() {
            if self.out.send(batch).await.is_err() {
                return;
            }
        }
    }

    fn watch(&mut self, device: DeviceId) -> Option<&mut Watch> {
        self.watches
            .iter_mut()
            .find(|watch| watch.device.id == device)
    }

    /// Writes a line about trouble, within the limit of lines.
    fn say(&mut self, line: impl FnOnce(Option<u64>)) {
        if let Some(swallowed) = self.quiet.may_speak(Instant::now()) {
            line((swallowed > 0).then_some(swallowed));
        }
    }
}

#[cfg(test)]
mod tests;
