//! A frame that has begun must be whole within a second, however its bytes are spread: a peer that drips is left.
//!
//! Used by the guards below the libraries, which know where a frame begins and ends.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// From the first byte of a frame to its last.
const WHOLE_FRAME: Duration = Duration::from_secs(1);

/// How long the rest of a frame is still waited for.
#[derive(Debug, Default)]
pub(super) struct Patience(Option<Pin<Box<Sleep>>>);

impl Patience {
    /// Bytes came: whether they made a frame `whole`, and whether another one has `begun`.
    pub(super) fn came(&mut self, whole: bool, begun: bool) {
        if whole || !begun {
            self.0 = None;
        }
        if begun && self.0.is_none() {
            self.0 = Some(Box::pin(sleep(WHOLE_FRAME)));
        }
    }

    /// Ready with an error when a frame that has begun takes too long; never while none has.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(sleep) = &mut self.0 else {
            return Poll::Pending;
        };
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(io::Error::new(
            io::ErrorKind::InvalidData,
            "a frame that was not whole 1 s after its first byte",
        ))
    }
}
