//! What a driver is to the link that calls it: it connects once when told, and says what it heard.
//!
//! A driver owns one link (a TCP connection, a wire, a session) and all devices on it. It neither retries nor spawns: when
//! to try again, and when a device is lost, is decided in `link`, for all drivers alike.

use crate::model::{BadReason, DeviceId, LinkError, Stamp, TagId, UtcTime, Value};
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// The connection cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The device that was being asked, if it was one.
    pub device: Option<DeviceId>,
    /// What happened.
    pub error: LinkError,
}

/// What one device said in one poll cycle or notification, as it said it.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Which device.
    pub device: DeviceId,
    /// When the last of it was complete.
    pub stamp: Stamp,
    /// Readings, or the news that it does not answer.
    pub content: Said,
}

/// Readings, or the news that there are none.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// It answers; may be empty.
    Readings(Vec<Reading>),
    /// This one device does not answer, while the connection goes on.
    Silent(LinkError),
}

/// One raw value of one tag: decoded, but not scaled, checked or ordered by its own clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Which tag; one of the device's.
    pub tag: TagId,
    /// When the answer was complete.
    pub stamp: Stamp,
    /// By the device's own clock, where the settings ask for that.
    pub source: Option<UtcTime>,
    /// What was decoded, or why it could not be.
    pub raw: Result<Value, BadReason>,
    /// The device has doubts about it.
    pub uncertain: bool,
}

/// One way to reach devices.
pub trait Driver: Send {
    /// Makes the connection, once; what was left of an older one is closed. A device that has
    /// been silent for its `lost_after` is lost, and all its values are bad: then everything is told anew, changed or not.
    ///
    /// # Errors
    /// Why there is none.
    fn connect(&mut self) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Waits for what a device says next: readings, or `Silent` when this one device does not answer while the connection
    /// goes on. Not cancel-safe: dropped before it is ready, the connection must be made anew.
    ///
    /// # Errors
    /// The connection is broken, and closed already. What was read before that has been returned first.
    fn next(&mut self) -> impl Future<Output = Result<Heard, Failure>> + Send;

    /// Keeps the connection alive while nobody takes what was heard, such as a session that the other side would end.
    /// Never ends by itself; cancel-safe.
    fn idle(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Leaves a device alone until then; the others of the link go on.
    fn rest(&mut self, device: DeviceId, until: Instant);

    /// Says goodbye, where the other side would wait for us otherwise. The last call; takes a second at the most.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Most characters of a detail.
const MAX_DETAIL: usize = 200;

/// A link error whose detail is cut to its limit.
pub(super) fn link_error(code: &'static str, detail: impl Into<String>) -> LinkError {
    let mut detail: String = detail.into();
    if let Some((cut, _)) = detail.char_indices().nth(MAX_DETAIL) {
        detail.truncate(cut);
    }
    LinkError { code, detail }
}

/// Two answers are two instants, even if the clock did not move in between.
pub(super) fn later(now: Stamp, last: Stamp) -> Stamp {
    if now.boot > last.boot {
        now
    } else {
        now.at(last.boot.plus(Duration::from_nanos(1)))
    }
}
