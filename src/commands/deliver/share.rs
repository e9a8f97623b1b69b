//! What of an uplink's `rate_limit` may be used for sending again: all of it where no gateway runs on the store; beside one
//! half of it, and the gateway is told before, so that it leaves that much out of its own.

use super::super::Failure;
use super::super::buffer::site::Site;
use super::super::buffer::words;
use crate::gateway::control::Ask;
use crate::settings::{Rate, Uplink};

/// Most events that are announced to the gateway at once, so that it never waits long for those that are not sent yet.
const MOST_AT_ONCE: usize = 256;

/// The share of one uplink.
pub(super) struct Share<'a> {
    site: &'a Site,
    uplink: &'a str,
    /// What was asked for, in events per second.
    wanted: f64,
    /// `rate_limit`, in events per second.
    limit: Option<f64>,
}

/// What may go now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Granted {
    /// How many events.
    pub(super) events: usize,
    /// How fast, in events per second.
    pub(super) per_second: f64,
}

impl<'a> Share<'a> {
    pub(super) fn new(site: &'a Site, uplink: &'a Uplink, wanted: Rate) -> Share<'a> {
        Share {
            site,
            uplink: &uplink.name,
            wanted: wanted.per_second(),
            limit: uplink.rate_limit.map(Rate::per_second),
        }
    }

    /// How fast it goes, whoever runs.
    fn pace(&self, beside: bool) -> f64 {
        let share = self
            .limit
            .map(|limit| if beside { limit / 2.0 } else { limit });
        share.map_or(self.wanted, |share| share.min(self.wanted))
    }

    /// Gets leave for at most so many events: about what goes in a second. Asked anew each time who runs.
    pub(super) fn next(&self, events: usize) -> Result<Granted, Failure> {
        let gateway = match self.limit {
            Some(_) => self.site.running()?,
            None => None,
        };
        let Some(mut gateway) = gateway else {
            return Ok(Granted {
                events,
                per_second: self.pace(false),
            });
        };
        let per_second = self.pace(true);
        let events = events.min(a_second(per_second));
        let question = Ask::UplinkBeside {
            uplink: self.uplink.to_owned(),
            events: u32::try_from(events).unwrap_or(u32::MAX),
        };
        let () = self.site.ask(&mut gateway, &question)?;
        Ok(Granted { events, per_second })
    }

    /// What is said before, where the limit counts.
    pub(super) fn told(&self) -> Result<Option<String>, Failure> {
        let Some(limit) = self.limit else {
            return Ok(None);
        };
        let beside = self.site.running()?.is_some();
        let pace = self.pace(beside);
        let whose = match beside {
            true => format!(
                "the gateway has the other {} of the `rate_limit`",
                words::per_second(limit - pace)
            ),
            false => "no gateway runs on this store".to_owned(),
        };
        Ok(Some(format!(
            "at most {}: {whose}\n",
            words::per_second(pace)
        )))
    }
}

/// Events that go in a second, at least one.
fn a_second(per_second: f64) -> usize {
    (1..MOST_AT_ONCE)
        .rev()
        .find(|events| *events as f64 <= per_second)
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_at_least_one_event_and_at_most_so_many_as_are_read_at_a_time() {
        for (rate, events) in [(0.1, 1), (1.0, 1), (2.9, 2), (50.0, 50), (1e6, 255)] {
            assert_eq!(a_second(rate), events);
        }
    }
}
