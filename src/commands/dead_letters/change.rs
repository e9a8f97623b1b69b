//! `millgate dead-letters retry` and `discard`: through the control socket of the gateway that has the store, else in the
//! files, under the store's lock. By the numbers that were chosen, in small parts: what comes meanwhile is not touched,
//! and an interruption leaves the rest as it is.

use super::super::buffer::interrupt::Interrupt;
use super::super::buffer::site::{Gateway, deaf, failure};
use super::super::buffer::status::{now_ns, status_of};
use super::super::buffer::words;
use super::super::{Exit, Failure, terminal};
use super::pick::{Pick, Picked};
use super::place::{Bar, Letters, Whose};
use super::user;
use crate::buffer::{CHANGED_AT_ONCE, Changed, ParkedAction, ParkedChange};
use crate::gateway::control::Ask;
use crate::model::{Position, UtcTime};
use anyhow::anyhow;
use serde_json::json;

/// Send events again, with the ids they have.
#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pick: Pick,
    /// Why, for the audit.
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// Give events up.
#[derive(Debug, clap::Args)]
pub(super) struct Discard {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pick: Pick,
    /// Why: it stays on the list of what was discarded.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// Longest reason, in characters: what the audit keeps.
const MAX_REASON: usize = 400;

fn reason(text: &str) -> Result<String, String> {
    let length = text.chars().count();
    match text.trim() {
        "" => Err("say why: whoever asks later has nothing else".into()),
        _ if length > MAX_REASON => Err(format!("at most {MAX_REASON} characters, not {length}")),
        text => Ok(text.to_owned()),
    }
}

impl Retry {
    pub(super) fn run(self) -> Result<(), Failure> {
        let comment = self.comment.chars().take(MAX_REASON).collect();
        let work = (ParkedAction::Retry, comment);
        change(&self.whose, &self.pick, work, self.json)
    }
}

impl Discard {
    pub(super) fn run(self) -> Result<(), Failure> {
        let work = (ParkedAction::Discard, self.reason.clone());
        change(&self.whose, &self.pick, work, self.json)
    }
}

fn change(
    whose: &Whose,
    pick: &Pick,
    (action, comment): (ParkedAction, String),
    json: bool,
) -> Result<(), Failure> {
    if !pick.is_said() {
        let error = anyhow!(
            "which ones? Name events, or give --code, --class, --equipment or --age, or --all for all of them"
        );
        return Err(Failure::new(Exit::Usage, error));
    }
    let letters = whose.letters()?;
    let mut chosen = pick.choose(&letters)?;
    let unreadable: String = chosen
        .iter()
        .map(|picked| picked.unreadable.told(&picked.uplink))
        .collect();
    terminal::print_error(&unreadable)?;
    chosen.retain(|picked| !picked.positions.is_empty());
    let picked = match chosen.as_slice() {
        [] => match pick.unknown(&letters)? {
            Some(unknown) => return Err(unknown),
            None => return nothing(action, json),
        },
        [one] => one,
        several => {
            let names: Vec<&str> = several.iter().map(|it| it.uplink.as_str()).collect();
            let error = anyhow!(
                "such events are parked for several uplinks, {}: say for which with --uplink",
                names.join(", ")
            );
            return Err(Failure::new(Exit::Usage, error));
        }
    };
    let mut work = Work {
        letters: &letters,
        picked,
        action,
        comment,
        sum: Changed::default(),
        through_gateway: false,
    };
    let ended = work.run();
    work.tell(json, ended)
}

fn nothing(action: ParkedAction, json: bool) -> Result<(), Failure> {
    if json {
        let done = json!({ "action": action.word(), "uplink": null, "chosen": 0, "changed": 0 });
        return terminal::print(&format!("{done:#}\n"));
    }
    terminal::print("Nothing to do: none of the parked events matches.\n")
}

struct Work<'a> {
    letters: &'a Letters,
    picked: &'a Picked,
    action: ParkedAction,
    comment: String,
    sum: Changed,
    /// A gateway did the last part.
    through_gateway: bool,
}

impl Work<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let all = self.picked.positions.len();
        let mut interrupt = Interrupt::listen()?;
        let doing = match self.action {
            ParkedAction::Retry => "setting due",
            ParkedAction::Discard => "discarding",
        };
        let mut bar = Bar::new(doing, all);
        let user = user::name();
        for (nth, part) in self.picked.positions.chunks(CHANGED_AT_ONCE).enumerate() {
            bar.show(nth * CHANGED_AT_ONCE);
            if interrupt.came() {
                bar.clear();
                self.broken_off(&user)?;
                return Err(Interrupt::failure());
            }
            let of = if nth == 0 { all as u64 } else { 0 };
            let done = self.part(part, &user, of);
            let done = done.inspect_err(|_| bar.clear())?;
            self.sum.changed += done.changed;
            self.sum.gone += done.gone;
            self.sum.unreadable += done.unreadable;
            self.sum.no_room += done.no_room;
            if done.no_room > 0 {
                break;
            }
        }
        bar.clear();
        Ok(())
    }

    /// The gateway has told in its log how many were chosen: it tells how far that came, too.
    fn broken_off(&mut self, user: &str) -> Result<(), Failure> {
        if !self.through_gateway || self.sum.changed == 0 {
            return Ok(());
        }
        self.part(&[], user, self.sum.changed).map(drop)
    }

    /// Asked anew each time who has the store: a gateway may start or stop meanwhile.
    fn part(&mut self, positions: &[Position], user: &str, of: u64) -> Result<Changed, Failure> {
        let change = ParkedChange {
            action: self.action,
            user: user.to_owned(),
            comment: self.comment.clone(),
            positions: positions.to_vec(),
            of,
        };
        let (site, store) = (&self.letters.site, &self.letters.store);
        let uplink = &self.picked.uplink;
        match site.gateway(store)? {
            Gateway::Runs(mut conversation) => {
                self.through_gateway = true;
                let uplink = uplink.clone();
                site.ask(&mut conversation, &Ask::ParkedChange { uplink, change })
            }
            Gateway::Away(held) => {
                self.through_gateway = false;
                let now = UtcTime(now_ns());
                let done = store.change_parked(&held, uplink, &change, now);
                done.map_err(failure)
            }
            Gateway::Deaf => Err(deaf(&site.path)),
        }
    }

    fn tell(&self, json: bool, ended: Result<(), Failure>) -> Result<(), Failure> {
        let sum = &self.sum;
        if json {
            let done = json!({
                "action": self.action.word(),
                "uplink": self.picked.uplink,
                "chosen": self.picked.positions.len(),
                "changed": sum.changed,
                "gone": sum.gone,
                "unreadable": sum.unreadable,
                "no_room": sum.no_room,
                "gateway": self.through_gateway,
            });
            terminal::print(&format!("{done:#}\n"))?;
        } else {
            terminal::print(&self.told())?;
        }
        ended?;
        match (sum.no_room, sum.unreadable) {
            (0, 0) => Ok(()),
            (0, _) => Err(Failure::told(Exit::Data)),
            _ => {
                let error = anyhow!("the disk is full: make room, and do it again for the rest");
                Err(Failure::new(Exit::Io, error))
            }
        }
    }

    /// When the running gateway sends them again. It has said yes already: that it does not say more is no failure.
    fn when(&self) -> String {
        let status = status_of(&self.letters.site).ok();
        let uplinks = status.map(|status| status.uplinks).unwrap_or_default();
        let mut uplinks = uplinks.into_iter();
        let ours = uplinks.find(|it| it.name == self.picked.uplink);
        match ours.and_then(|it| it.paused) {
            Some(why) => format!(
                "the gateway sends them again when the destination takes events, which it does not at present ({why})"
            ),
            None => "the gateway begins within a minute to send them again, one after the other"
                .to_owned(),
        }
    }

    fn told(&self) -> String {
        let uplink = &self.picked.uplink;
        let events = words::events(self.sum.changed);
        let mut text = match (self.action, self.through_gateway) {
            _ if self.sum.changed == 0 => "Nothing was changed.\n".to_owned(),
            (ParkedAction::Retry, true) => format!(
                "{events} of {uplink}: {}.\n\
                 What is taken leaves `millgate dead-letters list --uplink {uplink}`; what is refused anew stays.\n",
                self.when()
            ),
            (ParkedAction::Retry, false) => format!(
                "{events} of {uplink}: sent again when the gateway starts. None runs on this store now.\n"
            ),
            (ParkedAction::Discard, through_gateway) => {
                let list = self.letters.site.path.join("parked").join(uplink);
                let list = list.join("discarded.jsonl");
                let later = match through_gateway {
                    true => "",
                    false => {
                        "No gateway runs on this store: its next start takes them off the account.\n"
                    }
                };
                format!(
                    "{events} of {uplink} discarded.\n{later}Who, when and why is kept in {}\n",
                    list.display()
                )
            }
        };
        let retrying = self.picked.retrying;
        if self.action == ParkedAction::Discard && self.through_gateway && retrying > 0 {
            text += &format!(
                "The gateway was trying {} of them again: one that was under way may have reached the destination all the same.\n",
                words::number(retrying)
            );
        }
        if self.sum.gone > 0 {
            text += &format!(
                "{} were not parked any more.\n",
                words::events(self.sum.gone)
            );
        }
        if self.sum.unreadable > 0 {
            text += &format!(
                "{} cannot be read, and are left alone.\n",
                words::events(self.sum.unreadable)
            );
        }
        let left = self.picked.positions.len() as u64;
        let sum = &self.sum;
        let left = left.saturating_sub(sum.changed + sum.gone + sum.unreadable);
        if left > 0 {
            text += &format!(
                "{} are as before; the same command goes on with them.\n",
                words::events(left)
            );
        }
        text
    }
}
