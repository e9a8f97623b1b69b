//! What an OPC UA status code and the time stamps beside it say of a value (OPC 10000-4, 7.39; 7.11).
//!
//! Pure.

use crate::model::UtcTime;
use crate::settings::shape::Timestamps;
use opcua::types::{DataValue, DateTime, StatusCode};

/// 100 ns steps from 1601, where OPC UA begins to count, to 1970.
const TICKS_TO_1970: i64 = 116_444_736_000_000_000;

/// How much a value may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// Good.
    Good,
    /// The source has doubts.
    Uncertain,
    /// The source says that it is bad: no communication, out of service, no such node.
    Bad,
}

/// What the severity bits say; the reserved fourth one is bad.
pub(super) fn worth(status: Option<StatusCode>) -> Worth {
    match status.map_or(0, |status| status.bits() >> 30) {
        0 => Worth::Good,
        1 => Worth::Uncertain,
        _ => Worth::Bad,
    }
}

/// The server's queue for this item was full, and older values of it are lost. The bit has this meaning where the
/// code says that it is about a value; some servers set it without saying so, and there it can mean nothing else.
pub(super) fn lost_some(status: Option<StatusCode>) -> bool {
    const RESERVED: u32 = 0b10 << 10;
    const OVERFLOW: u32 = 1 << 7;
    let bits = status.map_or(0, |status| status.bits());
    bits & RESERVED == 0 && bits & OVERFLOW != 0
}

/// The time stamp that the settings ask for, where the server gave it.
pub(super) fn source(value: &DataValue, wanted: Timestamps) -> Option<UtcTime> {
    let server = || value.server_timestamp.as_ref().and_then(stamp);
    match wanted {
        Timestamps::Gateway => None,
        Timestamps::Server => server(),
        Timestamps::Source => value
            .source_timestamp
            .as_ref()
            .and_then(stamp)
            .or_else(server),
    }
}

/// A stamp; one that is too far away to be counted is the farthest, which nobody believes. `None` where none was given.
fn stamp(time: &DateTime) -> Option<UtcTime> {
    if time.is_null() {
        return None;
    }
    let farthest = if time.checked_ticks() < TICKS_TO_1970 {
        UtcTime(i64::MIN)
    } else {
        UtcTime(i64::MAX)
    };
    Some(utc(time).unwrap_or(farthest))
}

/// As nanoseconds since 1970; `None` for a time that is none, or that far away.
pub(super) fn utc(time: &DateTime) -> Option<UtcTime> {
    if time.is_null() {
        return None;
    }
    let since_1970 = time.checked_ticks().checked_sub(TICKS_TO_1970)?;
    since_1970.checked_mul(100).map(UtcTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_decides_what_a_value_is_worth() {
        for (bits, expected) in [
            (0, Worth::Good),
            (0x0096_0000, Worth::Good),
            (0x40A4_0000, Worth::Uncertain),
            (0x8031_0000, Worth::Bad),
            (0xC000_0000, Worth::Bad),
        ] {
            assert_eq!(worth(Some(StatusCode::from(bits))), expected, "{bits:08X}");
        }
        assert_eq!(worth(None), Worth::Good);
    }

    #[test]
    fn the_overflow_bit_counts_unless_its_info_type_is_unknown() {
        assert!(lost_some(Some(StatusCode::from(0x0000_0480))));
        assert!(lost_some(Some(StatusCode::from(0x0000_0080))));
        assert!(!lost_some(Some(StatusCode::from(0x0000_0880))));
        assert!(!lost_some(Some(StatusCode::from(0x0000_0400))));
        assert!(!lost_some(None));
    }

    #[test]
    fn the_stamp_is_the_one_of_the_settings() {
        let source_time = DateTime::ymd_hms(2026, 7, 1, 6, 0, 0);
        let server_time = DateTime::ymd_hms(2026, 7, 1, 6, 0, 1);
        let second = 1_000_000_000;
        let six = UtcTime(1_782_885_600 * second);
        let both = DataValue {
            source_timestamp: Some(source_time),
            server_timestamp: Some(server_time),
            ..DataValue::default()
        };
        assert_eq!(source(&both, Timestamps::Gateway), None);
        assert_eq!(source(&both, Timestamps::Source), Some(six));
        assert_eq!(
            source(&both, Timestamps::Server),
            Some(UtcTime(six.0 + second))
        );
        let server_only = DataValue {
            source_timestamp: None,
            ..both
        };
        assert_eq!(
            source(&server_only, Timestamps::Source),
            Some(UtcTime(six.0 + second))
        );
        let never = DataValue {
            source_timestamp: Some(DateTime::null()),
            ..DataValue::default()
        };
        assert_eq!(source(&never, Timestamps::Source), None);
    }
}
