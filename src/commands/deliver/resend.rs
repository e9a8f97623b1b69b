//! `millgate deliver resend`: what a MES team asks for after it has restored its database.

use super::super::buffer::bar::Bar;
use super::super::buffer::export::{Bound, bound};
use super::super::buffer::site::Which;
use super::super::buffer::words;
use super::super::{Exit, Failure, terminal};
use super::Whither;
use super::kept::{Kept, Left, Wish};
use super::sending::{MAX_TOLD, Sending, Signals, Stopped};
use super::share::Share;
use crate::buffer::Record;
use crate::deliver::{Courier, Timing};
use crate::model::Position;
use crate::settings::{Plant, Rate, Uplink};
use anyhow::anyhow;
use serde_json::json;
use tokio::runtime::Builder;

/// Send delivered events again, with the ids they have.
#[derive(Debug, clap::Args)]
pub(super) struct Resend {
    #[command(flatten)]
    whither: Whither,
    /// The first one: a number such as 1.42 or a `sequence`, or a time (UTC) such as 2026-11-23T06:00:00Z.
    #[arg(long, value_name = "NUMBER|TIME", value_parser = bound)]
    from: Bound,
    /// The last one, in the same way; it is sent, too.
    #[arg(long, value_name = "NUMBER|TIME", value_parser = bound)]
    to: Bound,
    /// At most so many, such as 200/s; never more than the uplink's own `rate_limit`, and beside a running gateway than half of
    /// it.
    #[arg(long, default_value = "100/s", value_parser = rate)]
    rate: Rate,
    /// Send those, too, that are older than the list of discards: somebody may have given some of them up.
    #[arg(long)]
    yes: bool,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

fn rate(text: &str) -> Result<Rate, String> {
    let rate = Rate::try_from(text.to_owned())?;
    if rate.per_second() > 0.0 {
        return Ok(rate);
    }
    Err("must be more than 0".into())
}

/// Whether nothing can lie between; a number and a time are not compared.
fn is_after(from: Bound, to: Bound) -> bool {
    match (from, to) {
        (Bound::Number(from), Bound::Number(to)) => from > to,
        (Bound::TimeNs(from), Bound::TimeNs(to)) => from > to,
        (Bound::Number(_), Bound::TimeNs(_)) | (Bound::TimeNs(_), Bound::Number(_)) => false,
    }
}

/// Why it ended early.
enum Ended {
    Stopped(Stopped),
    Failed(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Failed(failure)
    }
}

impl Resend {
    pub(super) fn run(self) -> Result<(), Failure> {
        if is_after(self.from, self.to) {
            let error = anyhow!("`--from` is later than `--to`: there is nothing between them");
            return Err(Failure::new(Exit::Usage, error));
        }
        let (plant, uplink) = self.whither.find()?;
        let site = Which::of(&self.whither.config).site()?;
        let store = site.store()?;
        let courier = Courier::new(&plant.gateway, &uplink, "resend", Timing::default());
        let courier = courier.map_err(|error| Failure::new(Exit::Config, error))?;
        let second = Courier::new(&plant.gateway, &uplink, "resend", Timing::default());
        let filter = second.map_err(|error| Failure::new(Exit::Config, error))?;
        let wants = move |kind: &str| filter.wants(kind);
        let wish = Wish {
            uplink: &uplink.name,
            from: self.from,
            to: self.to,
            wants: &wants,
            unsure: self.yes,
        };
        let Some(mut kept) = Kept::of(&site, &store, &uplink.name)? else {
            let error = anyhow!(
                "{} has delivered nothing to `{}` yet",
                site.path.display(),
                uplink.name
            );
            return Err(Failure::new(Exit::NoInput, error));
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Software, error))?;
        // Also at the end: a request that is given up needs its runtime.
        let _inside = runtime.enter();
        let mut sending = self.sending(courier)?;
        let mut sent = 0_u64;
        let share = Share::new(&site, &uplink, self.rate);
        if let Some(told) = share.told()? {
            terminal::print_error(&told)?;
        }
        let mut each = |mut part: Vec<Record>, bar: &mut Bar| {
            while !part.is_empty() {
                let granted = match share.next(part.len()) {
                    Ok(granted) => granted,
                    Err(failure) => {
                        sending.leave(part.drain(..));
                        return Err(Ended::Failed(failure));
                    }
                };
                let rest = part.split_off(granted.events.min(part.len()));
                let count = part.len() as u64;
                sending.set_rate(granted.per_second);
                let done = runtime.block_on(sending.send(part));
                part = rest;
                if let Err(stopped) = done {
                    sending.leave(part.drain(..));
                    return Err(Ended::Stopped(stopped));
                }
                sent += count;
                bar.show(sent);
            }
            Ok(())
        };
        let ended = kept.each(&wish, &mut each);
        let left = kept.left;
        let list_from_ns = kept.list_from_ns;
        self.tell(&plant, &uplink, &sending, (left, list_from_ns), ended)
    }

    fn sending(&self, courier: Courier) -> Result<Sending, Failure> {
        let signals = Signals::listen().map_err(|error| Failure::new(Exit::Software, error))?;
        Ok(Sending::new(courier, signals, self.rate.per_second()))
    }

    fn tell(
        &self,
        plant: &Plant,
        uplink: &Uplink,
        sending: &Sending,
        (left, list_from_ns): (Left, Option<i64>),
        ended: Result<(), Ended>,
    ) -> Result<(), Failure> {
        let sum = &sending.sum;
        let first_open = sending.first_open();
        let nothing = ended.is_ok() && sum.accepted + sum.pending + sum.rejected == 0;
        if self.json {
            let rejected: Vec<_> = sum
                .told
                .iter()
                .map(|(at, kind, why)| json!({ "sequence": at.to_string(), "type": kind, "reason": why }))
                .collect();
            let done = json!({
                "uplink": uplink.name,
                "accepted": sum.accepted,
                "pending": sum.pending,
                "rejected": sum.rejected,
                "first_rejected": rejected,
                "go_on_from": first_open.map(|at| at.to_string()),
                "waiting": left.waiting,
                "parked": left.parked,
                "perhaps_discarded": left.unsure,
                "unreadable": left.unreadable,
            });
            terminal::print(&format!("{done:#}\n"))?;
        } else {
            terminal::print(&told(sending, uplink, left, nothing))?;
        }
        terminal::print_error(&unsure(left, list_from_ns))?;
        match ended {
            Err(Ended::Failed(failure)) => Err(failure),
            Err(Ended::Stopped(stopped)) => Err(stop(stopped, first_open)),
            Ok(()) if nothing => Err(self.nothing(plant, left)),
            Ok(()) if sum.rejected + left.unreadable + left.unsure > 0 => {
                Err(Failure::told(Exit::Data))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Why there was nothing to send.
    fn nothing(&self, plant: &Plant, left: Left) -> Failure {
        if left.unsure > 0 {
            let error = anyhow!("nothing was sent");
            return Failure::new(Exit::Data, error);
        }
        if left.waiting + left.parked > 0 {
            let error = anyhow!("none of the events in that range has been delivered yet");
            return Failure::new(Exit::NoInput, error);
        }
        let kept = plant.buffer.keep_delivered;
        let kept = match kept.get().is_zero() {
            true => "nothing at present".to_owned(),
            false => format!("at present {}", String::from(kept)),
        };
        let error = anyhow!(
            "no delivered event of that range is in the store any more: `buffer.keep_delivered` says how long they are kept, {kept}"
        );
        Failure::new(Exit::NoInput, error)
    }
}

fn told(sending: &Sending, uplink: &Uplink, left: Left, nothing: bool) -> String {
    let sum = &sending.sum;
    let mut text = String::new();
    if !nothing {
        text = format!(
            "{}: {} sent again and accepted, {} rejected\n",
            uplink.name,
            words::events(sum.accepted),
            words::number(sum.rejected)
        );
    }
    if sum.pending > 0 {
        let events = words::events(sum.pending);
        text += &format!("{events} taken there, whose verdict did not come in time\n");
    }
    for (at, kind, why) in &sum.told {
        text += &format!("  {} {kind}: {why}\n", words::place(*at));
    }
    if sum.rejected > MAX_TOLD as u64 {
        text += &format!(
            "  and {} more\n",
            words::number(sum.rejected - MAX_TOLD as u64)
        );
    }
    if left.waiting > 0 {
        let events = words::events(left.waiting);
        text += &format!("{events} of the range not delivered yet: the gateway does that\n");
    }
    if left.parked > 0 {
        let events = words::events(left.parked);
        text += &format!("{events} of the range never taken: see `millgate dead-letters list`\n");
    }
    if left.unreadable > 0 {
        text += "some of the range cannot be read: `millgate buffer verify` says what\n";
    }
    text
}

/// That the list of discards does not reach back so far.
fn unsure(left: Left, list_from_ns: Option<i64>) -> String {
    let Some(from) = list_from_ns.filter(|_| left.unsure > 0) else {
        return String::new();
    };
    let list = match from {
        i64::MAX => "the list of discards (`discarded.jsonl`) is gone".to_owned(),
        from => format!(
            "the list of discards (`discarded.jsonl`) goes back to {} only",
            words::utc(from)
        ),
    };
    format!(
        "{} not sent: {list}, so some of them may have been given up by somebody. `--yes` sends them, too\n",
        words::events(left.unsure)
    )
}

fn stop(stopped: Stopped, first_open: Option<Position>) -> Failure {
    let go_on = first_open.map_or(String::new(), |at| {
        format!("; `--from {}` goes on", words::place(at))
    });
    match stopped {
        Stopped::Interrupted => Failure::new(
            Exit::Interrupted,
            anyhow!("broken off before the end{go_on}"),
        ),
        Stopped::Fault(why, denied) => {
            let exit = if denied {
                Exit::NoPermission
            } else {
                Exit::Unavailable
            };
            Failure::new(exit, anyhow!("the destination takes nothing: {why}{go_on}"))
        }
    }
}
