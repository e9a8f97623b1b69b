//! A subscription: made to fit the device, filled with items, and watched for a silent death.
//!
//! Used by the driver. The numbering of notifications is checked here: a gap means that values are lost.

use super::items::{Item, Place};
use super::prepare::Server;
use super::services::{self, Wish};
use super::wire::{Trouble, Wire};
use crate::model::LinkError;
use opcua::types::{
    CreateSubscriptionResponse, MonitoredItemCreateRequest, MonitoredItemCreateResult,
    MonitoringMode, MonitoringParameters, PublishResponse, StatusCode, SubscriptionAcknowledgement,
};
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

/// Shortest publishing interval that is believed; a server that wants less would only keep us busy.
const SHORTEST: Duration = Duration::from_millis(10);
/// A server that publishes more rarely than this and than ten times what was asked is polled instead.
const LONGEST: Duration = Duration::from_secs(60);
/// A server that is silent for longer without news is polled instead: its death would not be noticed.
const LONGEST_SILENCE: Duration = Duration::from_secs(600);
/// How often a server without news says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long the server keeps a subscription that nobody collects from.
const LIFETIME: Duration = Duration::from_secs(60);
/// Requests for notifications that wait at the server: one that is being answered, one in reserve, one on the way.
const IN_FLIGHT: usize = 3;
/// Notifications of other subscriptions that are overlooked. A session has only the one that we made on it.
const MAX_FOREIGN: u32 = 20;
/// Acknowledgements that wait for the next request.
const MAX_ACKNOWLEDGED: usize = 64;

/// A subscription that is there.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Its number at the server.
    pub(super) id: u32,
    /// Requests that may wait at the server.
    pub(super) in_flight: usize,
    interval: Duration,
    keep_alive: u32,
    slack: Duration,
    heard: Instant,
    expected: Option<u32>,
    foreign: u32,
    acknowledged: Vec<SubscriptionAcknowledgement>,
}

/// What a notification says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbered {
    /// The next one.
    InOrder,
    /// Some before it never came.
    Gap,
    /// It belongs to another subscription, which we never made.
    Foreign,
    /// Another one of those, and there were too many.
    Flood,
}

/// Makes a subscription. `Err` within `Ok` says why this server must be polled instead.
///
/// # Errors
/// When the connection breaks, or the server has no room for one more.
pub(super) async fn create(
    wire: &mut Wire,
    publishing: Duration,
    lost_after: Duration,
) -> Result<Result<Subscription, String>, LinkError> {
    let wish = wish(publishing, lost_after);
    match services::create_subscription(wire, wish).await {
        Ok(answer) => Ok(revised(&answer, wish, wire)),
        Err(Trouble::Refused(status)) if services::is_unsupported(status) => {
            Ok(Err(format!("the server has no subscriptions ({status})")))
        }
        Err(trouble) => Err(trouble.into_link_error("a subscription")),
    }
}

/// A sign of life comes three times before the device is lost.
fn wish(publishing: Duration, lost_after: Duration) -> Wish {
    let periods = |of: Duration| {
        let count = of.as_millis() / publishing.as_millis().max(1);
        u32::try_from(count).unwrap_or(u32::MAX)
    };
    let keep_alive = periods(KEEP_ALIVE.min(lost_after / 3)).max(1);
    Wish {
        publishing,
        keep_alive,
        lifetime: periods(LIFETIME).max(keep_alive.saturating_mul(3)),
    }
}

/// What the server made of the wish.
fn revised(
    answer: &CreateSubscriptionResponse,
    wish: Wish,
    wire: &Wire,
) -> Result<Subscription, String> {
    let asked = wish.publishing.as_millis();
    let interval = Duration::try_from_secs_f64(answer.revised_publishing_interval / 1_000.0)
        .map_err(|_| {
            format!(
                "the server publishes every {} ms",
                answer.revised_publishing_interval
            )
        })?;
    let shown = format!(
        "the server publishes every {} ms instead of {asked} ms",
        interval.as_millis()
    );
    let too_often = interval < SHORTEST && interval < wish.publishing;
    let too_rarely = interval > LONGEST.max(wish.publishing.saturating_mul(10));
    if too_often || too_rarely {
        return Err(shown);
    }
    let keep_alive = answer.revised_max_keep_alive_count.max(1);
    if interval.saturating_mul(keep_alive) > LONGEST_SILENCE {
        return Err(format!(
            "the server says nothing for {keep_alive} intervals"
        ));
    }
    if interval != wish.publishing {
        info!(link = wire.name(), "{shown}");
    }
    Ok(Subscription {
        id: answer.subscription_id,
        in_flight: IN_FLIGHT,
        interval,
        keep_alive,
        slack: wire.timeout() + interval,
        heard: Instant::now(),
        expected: None,
        foreign: 0,
        acknowledged: Vec::new(),
    })
}

impl Subscription {
    /// When its silence means that it died.
    pub(super) fn deadline(&self) -> Instant {
        self.heard + self.silence()
    }

    /// The longest silence of one that lives.
    pub(super) fn silence(&self) -> Duration {
        self.interval.saturating_mul(self.keep_alive) + self.slack
    }

    /// Something came of it: it works.
    pub(super) fn is_proven(&self) -> bool {
        self.expected.is_some()
    }

    /// How long the answer to a request for notifications may take: all requests before it are answered first.
    pub(super) fn patience(&self) -> Duration {
        let before = u32::try_from(IN_FLIGHT).unwrap_or(1);
        self.silence().saturating_mul(before + 1)
    }

    /// Looks at the number of a notification and will acknowledge it.
    pub(super) fn take(&mut self, answer: &PublishResponse) -> Numbered {
        if answer.subscription_id != self.id {
            self.foreign = self.foreign.saturating_add(1);
            return if self.foreign > MAX_FOREIGN {
                Numbered::Flood
            } else {
                Numbered::Foreign
            };
        }
        self.heard = Instant::now();
        let message = &answer.notification_message;
        let number = message.sequence_number;
        let in_order = self.expected.is_none_or(|expected| expected == number);
        let has_news = message
            .notification_data
            .as_ref()
            .is_some_and(|news| !news.is_empty());
        if has_news {
            // 0 is never used: after the largest number comes 1 (OPC 10000-4, 7.26).
            self.expected = Some(number.checked_add(1).unwrap_or(1));
            if self.acknowledged.len() < MAX_ACKNOWLEDGED {
                self.acknowledged.push(SubscriptionAcknowledgement {
                    subscription_id: self.id,
                    sequence_number: number,
                });
            }
        } else {
            // A keep-alive carries the number that the next notification will have.
            self.expected = Some(number);
        }
        if in_order {
            Numbered::InOrder
        } else {
            Numbered::Gap
        }
    }

    /// What the next request acknowledges.
    pub(super) fn acknowledgements(&mut self) -> Vec<SubscriptionAcknowledgement> {
        std::mem::take(&mut self.acknowledged)
    }

    /// Whether a refused request for notifications ends the subscription. A server that takes fewer requests gets fewer.
    pub(super) fn survives(&mut self, status: StatusCode) -> bool {
        match status {
            StatusCode::BadTooManyPublishRequests if self.in_flight > 1 => {
                self.in_flight -= 1;
                true
            }
            StatusCode::BadTimeout => true,
            _ => false,
        }
    }
}

/// Adds items to the subscription, `which` being their numbers; says which the server refused, and why.
///
/// # Errors
/// When the connection breaks, or the subscription is gone.
pub(super) async fn add_items(
    wire: &mut Wire,
    server: &Server,
    subscription: u32,
    items: &mut [Item],
    which: &[usize],
) -> Result<Vec<(usize, StatusCode)>, LinkError> {
    let mut refused = Vec::new();
    let mut unranged = Vec::new();
    for part in which.chunks(server.items_per_call) {
        for (number, status) in add_part(wire, subscription, items, part).await? {
            match items.get_mut(number).map(|item| &mut item.place) {
                Some(Place::At { ranged, .. }) if *ranged && is_about_ranges(status) => {
                    *ranged = false;
                    unranged.push(number);
                }
                _ => refused.push((number, status)),
            }
        }
    }
    for part in unranged.chunks(server.items_per_call) {
        refused.extend(add_part(wire, subscription, items, part).await?);
    }
    Ok(refused)
}

fn is_about_ranges(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BadIndexRangeInvalid
            | StatusCode::BadIndexRangeNoData
            | StatusCode::BadIndexRangeDataMismatch
    )
}

async fn add_part(
    wire: &mut Wire,
    subscription: u32,
    items: &[Item],
    part: &[usize],
) -> Result<Vec<(usize, StatusCode)>, LinkError> {
    let asked: Vec<(usize, MonitoredItemCreateRequest)> = part
        .iter()
        .filter_map(|&number| Some((number, request(number, items.get(number)?)?)))
        .collect();
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let (numbers, requests): (Vec<usize>, Vec<MonitoredItemCreateRequest>) =
        asked.into_iter().unzip();
    let results = services::create_monitored_items(wire, subscription, requests).await;
    let results = results.map_err(|trouble| trouble.into_link_error("to watch tags"))?;
    let bad = |(number, result): (usize, MonitoredItemCreateResult)| {
        result
            .status_code
            .is_bad()
            .then_some((number, result.status_code))
    };
    Ok(numbers.into_iter().zip(results).filter_map(bad).collect())
}

fn request(number: usize, item: &Item) -> Option<MonitoredItemCreateRequest> {
    Some(MonitoredItemCreateRequest {
        item_to_monitor: item.read_value_id()?,
        monitoring_mode: MonitoringMode::Reporting,
        requested_parameters: MonitoringParameters {
            client_handle: u32::try_from(number).ok()?,
            sampling_interval: item.every.as_secs_f64() * 1_000.0,
            queue_size: item.variable.queue,
            discard_oldest: true,
            ..MonitoringParameters::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua::types::{DataChangeNotification, ExtensionObject, NotificationMessage};

    fn subscription() -> Subscription {
        Subscription {
            id: 7,
            in_flight: IN_FLIGHT,
            interval: Duration::from_millis(100),
            keep_alive: 10,
            slack: Duration::from_secs(2),
            heard: Instant::now(),
            expected: None,
            foreign: 0,
            acknowledged: Vec::new(),
        }
    }

    fn answer(id: u32, number: u32, news: bool) -> PublishResponse {
        let data = ExtensionObject::new(DataChangeNotification::default());
        PublishResponse {
            subscription_id: id,
            notification_message: NotificationMessage {
                sequence_number: number,
                notification_data: news.then(|| vec![data]),
                ..NotificationMessage::default()
            },
            ..PublishResponse::default()
        }
    }

    #[test]
    fn a_gap_in_the_numbers_is_noticed() {
        let mut one = subscription();
        for (number, news, expected) in [
            (1, true, Numbered::InOrder),
            (2, true, Numbered::InOrder),
            (3, false, Numbered::InOrder),
            (3, true, Numbered::InOrder),
            (5, true, Numbered::Gap),
            (6, true, Numbered::InOrder),
            (9, false, Numbered::Gap),
        ] {
            assert_eq!(one.take(&answer(7, number, news)), expected, "{number}");
        }
        for _ in 0..MAX_FOREIGN {
            assert_eq!(one.take(&answer(8, 1, true)), Numbered::Foreign);
        }
        assert_eq!(one.take(&answer(8, 1, true)), Numbered::Flood);
        let numbers: Vec<u32> = one
            .acknowledgements()
            .iter()
            .map(|one| one.sequence_number)
            .collect();
        assert_eq!(numbers, [1, 2, 3, 5, 6]);
        assert!(one.acknowledgements().is_empty());
    }

    #[test]
    fn after_the_largest_number_comes_1() {
        let mut one = subscription();
        one.take(&answer(7, u32::MAX, true));
        assert_eq!(one.take(&answer(7, 1, true)), Numbered::InOrder);
    }

    #[test]
    fn signs_of_life_come_before_the_device_is_lost() {
        let ms = Duration::from_millis;
        assert_eq!(wish(ms(500), ms(2_000)).keep_alive, 1);
        assert_eq!(wish(ms(100), ms(3_000)).keep_alive, 10);
        assert_eq!(wish(ms(100), ms(60_000)).keep_alive, 50);
        assert_eq!(wish(ms(100), ms(60_000)).lifetime, 600);
        assert_eq!(wish(ms(60_000), ms(180_000)).lifetime, 3);
    }

    #[test]
    fn a_server_that_takes_fewer_requests_gets_fewer() {
        let mut one = subscription();
        for left in [2, 1] {
            assert!(one.survives(StatusCode::BadTooManyPublishRequests));
            assert_eq!(one.in_flight, left);
        }
        assert!(!one.survives(StatusCode::BadTooManyPublishRequests));
        assert!(!one.survives(StatusCode::BadNoSubscription));
    }
}
