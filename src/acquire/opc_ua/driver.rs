//! The driver for OPC UA: one session with one server, a subscription or polls on it, and the readings that come of it.
//!
//! Called by `link`. Nothing is retried here: what breaks is a failure, and everything is made anew by the next connect.
//! Notifications that come while nobody takes them are held; when that is too many, the newest value of each tag is kept
//! and the tag is marked: it was bad in between, because values are lost.

use super::items::{Item, Repeated};
use super::limits;
use super::live::{Event, Live};
use super::prepare;
use super::services;
use super::session;
use super::subscribe::Numbered;
use super::wire::{Trouble, Wire};
use crate::acquire::driver::{Driver, Failure, Heard, Reading, Said, link_error};
use crate::acquire::quiet::Quiet;
use crate::clock::Clock;
use crate::health::DeviceHealth;
use crate::model::{BadReason, DeviceId, LinkError, Stamp};
use crate::settings::shape::Timestamps;
use crate::settings::{Device, OpcUa, Tag, TagSource};
use opcua::core::ResponseMessage;
use opcua::types::{
    DataChangeNotification, DataValue, Error, NotificationMessage, StatusChangeNotification,
};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::warn;

mod tags;

/// Values that are held while the next stage has no room: twice what one notification may bring, and two seconds of the
/// design load.
const MAX_HELD: usize = 20_000;

/// How often tags that cannot be read are looked for again.
const RETRY: Duration = Duration::from_secs(60);

/// A server, and what is read of it.
pub(in crate::acquire) struct OpcUaServer {
    settings: OpcUa,
    pki: PathBuf,
    device: DeviceId,
    name: String,
    timestamps: Timestamps,
    lost_after: Duration,
    clock: Clock,
    health: Arc<DeviceHealth>,
    items: Vec<Item>,
    live: Option<Live>,
    /// Understood, and not returned yet.
    ready: VecDeque<Heard>,
    /// Came, and is not understood yet; at most [`MAX_HELD`] values.
    held: VecDeque<Held>,
    held_values: usize,
    /// The newest of the values that were dropped because there were too many, by item.
    dropped: Option<(Stamp, BTreeMap<usize, DataValue>)>,
    /// The connection is broken; what came before is returned first.
    failed: Option<LinkError>,
    last: Stamp,
    /// When the link last got something.
    returned: Instant,
    /// What was said of each item that cannot be read.
    told: HashMap<usize, String>,
    quiet: Quiet,
    /// How often tags that cannot be read are looked for again.
    retry: Duration,
}

/// A notification.
struct Held {
    stamp: Stamp,
    values: Vec<(usize, DataValue)>,
}

impl OpcUaServer {
    /// The server of a device. `pki` is the folder of certificates.
    pub(in crate::acquire) fn new<'a>(
        device: &Device,
        settings: &OpcUa,
        pki: &Path,
        tags: impl IntoIterator<Item = &'a Tag>,
        clock: Clock,
        health: Arc<DeviceHealth>,
    ) -> OpcUaServer {
        let item = |tag: &Tag| match &tag.source {
            TagSource::OpcUa(variable) => Some(Item::new(
                tag.id,
                tag.name.clone(),
                tag.every,
                variable.clone(),
            )),
            _ => None,
        };
        let now = Instant::now();
        OpcUaServer {
            settings: settings.clone(),
            pki: pki.to_owned(),
            device: device.id,
            name: device.name.clone(),
            timestamps: device.timestamps,
            lost_after: device.lost_after,
            clock,
            health,
            items: tags.into_iter().filter_map(item).collect(),
            live: None,
            ready: VecDeque::new(),
            held: VecDeque::new(),
            held_values: 0,
            dropped: None,
            failed: None,
            last: Stamp::default(),
            returned: now,
            told: HashMap::new(),
            quiet: Quiet::new(now),
            retry: RETRY,
        }
    }

    /// Looks for tags that cannot be read so often, and not every minute.
    pub(in crate::acquire) fn retry_every(&mut self, retry: Duration) {
        self.retry = retry;
    }

    /// Two answers are two instants, even on a clock that stands.
    fn stamp(&mut self) -> Stamp {
        let now = self.clock.now();
        self.last = if now.boot > self.last.boot {
            now
        } else {
            now.at(self.last.boot.plus(Duration::from_nanos(1)))
        };
        self.last
    }

    fn heard(&self, stamp: Stamp, readings: Vec<Reading>) -> Heard {
        Heard {
            device: self.device,
            stamp,
            content: Said::Readings(readings),
        }
    }

    /// What happened on the connection, as far as it needs no waiting.
    fn take(&mut self, event: Event) {
        match event {
            Event::Published(answer) => self.published(answer),
            Event::Alive(answer) => {
                let Some(live) = &mut self.live else { return };
                match live.wire.judge(answer, "ServerStatus") {
                    Err(Trouble::Broken(error)) => self.failed = Some(error),
                    Ok(_) | Err(Trouble::Refused(_)) => {
                        live.heard();
                        // A server whose subscriptions bring nothing is no device that answers.
                        if live.is_proven() && self.ready.is_empty() {
                            let stamp = self.stamp();
                            let heard = self.heard(stamp, Vec::new());
                            self.ready.push_back(heard);
                        }
                    }
                }
            }
            Event::Closed(error) => self.failed = Some(error),
            Event::Due => {
                let tended = self.live.as_mut().map(Live::tend);
                if let Some(Err(error)) = tended {
                    self.failed = Some(error);
                }
            }
        }
    }

    /// A request for notifications was answered.
    fn published(&mut self, answer: Result<ResponseMessage, Error>) {
        let Some(live) = &mut self.live else { return };
        let judged = live.wire.judge(answer, "Publish");
        let Some(subscription) = &mut live.subscription else {
            return;
        };
        match judged {
            Ok(ResponseMessage::Publish(answer)) => {
                live.heard();
                let numbered = live.subscription.as_mut().map(|one| one.take(&answer));
                live.ask_for_news();
                match numbered {
                    Some(Numbered::InOrder) => self.hold(answer.notification_message),
                    Some(Numbered::Gap) => self.lost_some(),
                    Some(Numbered::Flood) => {
                        let detail = format!(
                            "{}: the server sends notifications of subscriptions that are not ours",
                            self.settings.endpoint
                        );
                        self.failed = Some(link_error("protocol", detail));
                    }
                    _ => {}
                }
            }
            Ok(other) => {
                let error = services::unexpected(&other).into_link_error("to publish");
                self.failed = Some(error);
            }
            Err(Trouble::Refused(status)) if subscription.survives(status) => live.ask_for_news(),
            Err(Trouble::Refused(status)) => {
                let detail = format!(
                    "{}: the subscription has ended ({status})",
                    live.wire.name()
                );
                self.failed = Some(link_error("closed", detail));
            }
            Err(Trouble::Broken(error)) => self.failed = Some(error),
        }
    }

    /// Notifications were lost on the way: nobody knows of which tags. All are bad until they have been read anew.
    fn lost_some(&mut self) {
        let stamp = self.stamp();
        let lost = |item: &mut Item| item.bad(BadReason::Overflow, stamp);
        let readings = self.items.iter_mut().map(lost).collect();
        self.held.clear();
        self.held_values = 0;
        self.dropped = None;
        let heard = self.heard(stamp, readings);
        self.ready.push_back(heard);
        let detail = format!(
            "{}: notifications were lost; all tags are read anew",
            self.settings.endpoint
        );
        self.failed = Some(link_error("protocol", detail));
    }

    /// Keeps a notification until it can be understood.
    fn hold(&mut self, message: NotificationMessage) {
        let stamp = self.stamp();
        let mut values = Vec::new();
        for part in message.notification_data.into_iter().flatten() {
            if let Some(change) = part.inner_as::<StatusChangeNotification>() {
                let detail = format!(
                    "{}: the server ends the subscription ({})",
                    self.settings.endpoint, change.status
                );
                self.failed = Some(link_error("closed", detail));
            } else if let Some(news) = part.into_inner_as::<DataChangeNotification>() {
                let numbered = news
                    .monitored_items
                    .into_iter()
                    .flatten()
                    .filter_map(|one| Some((usize::try_from(one.client_handle).ok()?, one.value)));
                values.extend(numbered.filter(|(number, _)| *number < self.items.len()));
            }
        }
        self.health.answers.add(1);
        self.held_values += values.len();
        self.held.push_back(Held { stamp, values });
        while self.held_values > MAX_HELD {
            let Some(oldest) = self.held.pop_front() else {
                break;
            };
            self.held_values -= oldest.values.len();
            let (newest, kept) = self.dropped.get_or_insert_default();
            *newest = oldest.stamp;
            kept.extend(oldest.values);
        }
    }

    /// Understands the oldest of what came.
    async fn understand(&mut self) -> Option<Heard> {
        let (stamp, values, lost) = match self.dropped.take() {
            Some((stamp, kept)) => (stamp, kept.into_iter().collect(), true),
            None => {
                let held = self.held.pop_front()?;
                self.held_values -= held.values.len();
                (held.stamp, held.values, false)
            }
        };
        Some(self.readings(stamp, values, lost).await)
    }

    /// Makes readings of values; `lost`: older values of them were dropped.
    async fn readings(
        &mut self,
        stamp: Stamp,
        values: Vec<(usize, DataValue)>,
        lost: bool,
    ) -> Heard {
        let Some(live) = &mut self.live else {
            return self.heard(stamp, Vec::new());
        };
        let missing = live.missing(&self.items, &values, self.timestamps);
        if !missing.is_empty()
            && self.failed.is_none()
            && let Err(error) = live.learn(missing).await
        {
            self.failed = Some(error);
        }
        let context = live.wire.context().read();
        let known = live.known(&context, self.timestamps);
        let mut readings = Vec::with_capacity(values.len());
        for (number, value) in &values {
            let Some(item) = self.items.get_mut(*number) else {
                continue;
            };
            if let Some(what) = item.new_trouble(value)
                && let Some(swallowed) = self.quiet.may_speak(Instant::now())
            {
                warn!(device = %self.name, tag = %item.name, swallowed, "bad: {what}");
            }
            if lost {
                readings.push(item.bad(BadReason::Overflow, stamp));
            }
            if item.readings(value, stamp, &known, &mut readings) == Repeated(true) {
                self.health.repeated.add(1);
            }
            if let Some(what) = item.take_misfit()
                && let Some(swallowed) = self.quiet.may_speak(Instant::now())
            {
                warn!(device = %self.name, tag = %item.name, swallowed, "bad: {what}");
            }
        }
        drop(context);
        self.heard(stamp, readings)
    }

    /// Does what is due and needs waiting: polls, and tags that could not be read.
    async fn work(&mut self) -> Result<(), LinkError> {
        let Some(mut live) = self.live.take() else {
            return Ok(());
        };
        let worked = self.work_on(&mut live).await;
        self.live = Some(live);
        for (stamp, values) in worked? {
            let heard = self.readings(stamp, values, false).await;
            self.ready.push_back(heard);
        }
        Ok(())
    }

    /// A device that was silent for so long has been declared lost: its tags are bad, so every value counts again.
    fn mind_loss(&mut self) {
        if self.returned.elapsed() >= self.lost_after {
            self.items.iter_mut().for_each(Item::forget);
        }
    }

    async fn leave(&mut self) {
        if let Some(live) = self.live.take() {
            session::close(live.wire).await;
        }
    }

    async fn opened(&mut self) -> Result<(), LinkError> {
        let mut wire = session::open(&self.settings, &self.pki, &self.clock).await?;
        match prepare::survey(&mut wire).await {
            Ok(server) => {
                let mut live = Live::new(wire, server, self.lost_after, self.retry);
                match self.set_up(&mut live).await {
                    Ok(()) => {
                        self.live = Some(live);
                        Ok(())
                    }
                    Err(error) => Err(closed_over(live.wire, error).await),
                }
            }
            Err(error) => Err(closed_over(wire, error).await),
        }
    }
}

/// Ends the session before the error is told: a server has room for few of them.
async fn closed_over(wire: Wire, error: LinkError) -> LinkError {
    session::close(wire).await;
    error
}

impl Driver for OpcUaServer {
    async fn connect(&mut self) -> Result<(), LinkError> {
        self.leave().await;
        self.ready.clear();
        self.held.clear();
        self.held_values = 0;
        self.dropped = None;
        self.failed = None;
        self.mind_loss();
        self.opened().await
    }

    async fn next(&mut self) -> Result<Heard, Failure> {
        loop {
            self.mind_loss();
            let heard = match self.ready.pop_front() {
                Some(heard) => Some(heard),
                None => self.understand().await,
            };
            if let Some(heard) = heard {
                self.returned = Instant::now();
                return Ok(heard);
            }
            if let Some(error) = self.failed.take() {
                self.leave().await;
                self.health.failures.add(1);
                return Err(Failure {
                    device: None,
                    error,
                });
            }
            let Some(live) = &mut self.live else {
                let error = link_error("closed", "not connected");
                return Err(Failure {
                    device: None,
                    error,
                });
            };
            let event = live.event(true).await;
            let due = matches!(event, Event::Due);
            self.take(event);
            if due && self.failed.is_none() {
                self.mind_loss();
                if let Err(error) = self.work().await {
                    self.failed = Some(error);
                }
            }
        }
    }

    async fn idle(&mut self) {
        loop {
            match &mut self.live {
                Some(live) if self.failed.is_none() => {
                    let event = live.event(false).await;
                    self.take(event);
                }
                _ => std::future::pending().await,
            }
        }
    }

    /// There is one device on this link: it rests while the link does.
    fn rest(&mut self, _device: DeviceId, _until: Instant) {}

    async fn close(&mut self) {
        let goodbye = self.leave();
        let _too_slow_is_as_good = tokio::time::timeout(limits::CLOSING, goodbye).await;
    }
}
