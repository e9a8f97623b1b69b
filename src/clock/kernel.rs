//! Reads the kernel's clock discipline with `adjtimex(2)`: read-only, no privilege needed.
#![expect(
    unsafe_code,
    reason = "adjtimex has no safe wrapper among our dependencies; the struct is plain data that the kernel fills"
)]

use crate::model::{ClockQuality, ClockSource};

/// Synchronised unless the kernel says `STA_UNSYNC` or returns `TIME_ERROR`.
pub(super) fn quality() -> ClockQuality {
    // SAFETY: `timex` is plain old data for which all zeroes is a valid value; modes 0 only reads.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    let synchronised =
        state >= 0 && state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0;
    ClockQuality {
        source: if synchronised {
            ClockSource::Ntp
        } else {
            ClockSource::None
        },
        synchronised,
        max_error_s: synchronised.then(|| timex.maxerror as f64 / 1e6),
    }
}
