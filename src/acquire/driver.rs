//! What a driver is to the link that calls it: it connects once when told, and says what it heard.
//!
//! A driver owns one link (a TCP connection, a wire, a session) and all devices on it. It neither retries nor spawns: when
//! to try again, and when a device is lost, is decided in `link`, for all drivers alike.

use crate::model::{Batch, DeviceId, LinkError};
use std::future::Future;
use tokio::time::Instant;

/// The connection cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The device that was being asked, if it was one.
    pub device: Option<DeviceId>,
    /// What happened.
    pub error: LinkError,
}

/// One way to reach devices.
pub trait Driver: Send {
    /// Makes the connection, once; what was left of an older one is closed.
    ///
    /// # Errors
    /// Why there is none.
    fn connect(&mut self) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Waits for what a device says next: samples, or `Lost` when this one device does not answer while the connection
    /// goes on. Not cancel-safe: dropped before it is ready, the connection must be made anew.
    ///
    /// # Errors
    /// The connection is broken, and closed already. What was read before that has been returned first.
    fn next(&mut self) -> impl Future<Output = Result<Batch, Failure>> + Send;

    /// Leaves a device alone until then; the others of the link go on.
    fn rest(&mut self, device: DeviceId, until: Instant);
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
