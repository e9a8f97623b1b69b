//! How fast a backlog goes, in words: for `buffer status`. Pure.

use super::words;
use crate::buffer::inspect::DrainStatus;

/// Fewer waiting events than that are no backlog while some are delivered: they are on their way.
const FEW: u64 = 20;

/// How fast it goes, and when nothing waits any more.
pub(super) fn pace(waiting: u64, drain: DrainStatus) -> String {
    let DrainStatus {
        over_s,
        delivered_per_s,
        shrinks_per_s,
        empty_in_s,
    } = drain;
    let rate = words::per_second(delivered_per_s);
    let over = words::lasting(over_s);
    if waiting == 0 || (waiting < FEW && delivered_per_s > 0.0) {
        return format!("{rate} delivered in the last {over}");
    }
    let mut backlog = format!("{} waiting, {rate} delivered", words::number(waiting));
    // Parked, filtered or dropped events do not wait any more, either.
    if shrinks_per_s > delivered_per_s * 1.2 + 0.1 {
        let others = words::per_second(shrinks_per_s - delivered_per_s);
        backlog += &format!(", {others} parked, filtered or dropped");
    }
    match empty_in_s {
        Some(left) => format!("{backlog}: {} until none waits", words::about(left)),
        None if delivered_per_s == 0.0 && shrinks_per_s == 0.0 => {
            format!("{backlog}: nothing has moved in the last {over}")
        }
        None if shrinks_per_s < 0.0 => format!(
            "{backlog}: it does not shrink, {} more wait",
            words::per_second(-shrinks_per_s)
        ),
        None => format!("{backlog}: it does not shrink, as many come as go"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_says_how_fast_it_goes_and_when_it_is_gone() {
        let drain = |delivered_per_s, shrinks_per_s: f64, empty_in_s| DrainStatus {
            over_s: 60.0,
            delivered_per_s,
            shrinks_per_s,
            empty_in_s,
        };
        for (waiting, drain, said) in [
            (
                184_000,
                drain(12_300.4, 12_266.7, Some(15.0)),
                "184,000 waiting, 12,300/s delivered: about 15 s until none waits",
            ),
            (
                8_324,
                drain(0.0, 130.0, Some(64.0)),
                "8,324 waiting, 0/s delivered, 130/s parked, filtered or dropped: about 1 min until none waits",
            ),
            (
                900,
                drain(2.0, 0.1, Some(9_000.0)),
                "900 waiting, 2/s delivered: about 2 h 30 min until none waits",
            ),
            (
                900,
                drain(2.0, -0.5, None),
                "900 waiting, 2/s delivered: it does not shrink, 30/min more wait",
            ),
            (
                900,
                drain(2.0, 0.0, None),
                "900 waiting, 2/s delivered: it does not shrink, as many come as go",
            ),
            (
                3,
                drain(0.0, 0.0, None),
                "3 waiting, 0/s delivered: nothing has moved in the last 1 min",
            ),
            (
                3,
                drain(0.5, 0.0, None),
                "30/min delivered in the last 1 min",
            ),
            (0, drain(0.0, 0.0, None), "0/s delivered in the last 1 min"),
        ] {
            assert_eq!(pace(waiting, drain), said);
        }
    }
}
