//! `millgate buffer verify`: reads every record of a store and says what is wrong, what it means, and what to do.

use super::super::{Exit, Failure, terminal};
use super::site::Which;
use super::survey::{Loss, Part, State, Survey};
use super::words;
use crate::buffer::inspect::{ParkedHarm, setting_aside};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Read every record and say what is wrong, what it means and what to do. Exit code 65 when anything is.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    which: Which,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(self) -> Result<(), Failure> {
        let site = self.which.site()?;
        let store = site.store()?;
        let survey = Survey::take(&site, &store)?;
        let place = store.root().display().to_string();
        if self.json {
            terminal::print(&format!("{:#}\n", listed(&place, &survey)))?;
        } else {
            terminal::print(&told(&place, &survey))?;
        }
        if survey.is_good() {
            return Ok(());
        }
        Err(Failure::told(Exit::Data))
    }
}

fn told(place: &str, survey: &Survey) -> String {
    let mut text = String::new();
    for part in &survey.parts {
        text += &one(part, survey);
    }
    if let Some(why) = survey.side {
        text += &format!(
            "the side file `progress`: {why}\n  It keeps repeats few after a kill. No event is lost by it; the next start makes it anew.\n"
        );
    }
    for loss in &survey.missing {
        text += &format!(
            "{} are missing: {}\n  {}.\n{}",
            words::events(loss.count()),
            words::range(loss.from, loss.to),
            loss.reason,
            meaning(survey, loss)
        );
    }
    for harm in &survey.parked {
        text += &parked(harm);
    }
    if let Some(why) = survey.new_epoch {
        text += &format!(
            "The next start begins a new epoch, so that no number is used twice: {}.\n",
            why.words()
        );
    }
    for name in &survey.half_made {
        if setting_aside(name).is_some() {
            text += &format!(
                "{name}: did not open at a start that ended before it had set it aside; the next start does it\n"
            );
            continue;
        }
        text += &format!(
            "{name}: left by a crash in mid-work; no event is lost by it, the next start tidies it up\n"
        );
    }
    let records: u64 = survey.parts.iter().map(|part| part.records).sum();
    let good = if survey.is_good() {
        "good"
    } else {
        "NOT GOOD, see above"
    };
    let read = survey
        .parts
        .iter()
        .filter(|part| !matches!(part.state, State::SetAside | State::Gone));
    let read = read.count();
    let s = if read == 1 { "" } else { "s" };
    text += &format!(
        "{place}: {good}: {} in {read} generation{s} read\n",
        words::events(records)
    );
    text
}

/// What there is to say about the parked events of an uplink.
fn parked(harm: &ParkedHarm) -> String {
    let mut text = format!("parked events of `{}`: ", harm.uplink);
    text += &match (harm.lost, harm.damaged) {
        (0, damaged) => format!("{damaged} of their files cannot be read"),
        (lost, 0) => format!(
            "{} have no file any more; the next start counts them as dropped",
            words::number(lost)
        ),
        (lost, damaged) => format!(
            "{} are lost ({damaged} of the files cannot be read); the gateway counts them as dropped",
            words::number(lost)
        ),
    };
    text.push('\n');
    for (position, reason) in &harm.told {
        text += &format!("  {}: {reason}\n", words::place(*position));
    }
    text
}

/// What there is to say about a generation.
fn one(part: &Part, survey: &Survey) -> String {
    let name = part.name;
    let mut text = match &part.state {
        State::Whole => String::new(),
        State::Gone => format!("{name}: delivered and removed meanwhile\n"),
        State::SetAside => format!(
            "{name}: was damaged and set aside; `export --damaged` writes what can be read of it\n"
        ),
        State::Foreign(why) => {
            format!(
                "{name}: {why}\n  It is not touched: use the release of Millgate that wrote it.\n"
            )
        }
        State::Partly => format!(
            "{name}: {} of {} cannot be read\n",
            words::events(part.lost),
            words::number(part.lost + part.records)
        ),
        State::Broken(why) => format!("{name}: damaged: {why}\n"),
    };
    for loss in &part.losses {
        if part.state == State::Partly {
            text += &format!("  {}: {}\n", words::range(loss.from, loss.to), loss.reason);
        } else {
            text += &format!(
                "  It had {} in it; {} can be read by `export`.\n",
                words::range(loss.from, loss.to),
                words::number(part.records)
            );
        }
        text += &meaning(survey, loss);
    }
    match &part.state {
        State::Partly if !part.misses_events() => {
            text +=
                "  Everybody has them, or they are counted as dropped: nothing is to be done.\n";
        }
        State::Partly => {
            text += "  The gateway passes over them and reports them as dropped; `millgate buffer repair` does it now.\n";
        }
        State::Broken(_) if part.is_newest => {
            text += "  The next start, or `millgate buffer repair`, sets it aside and begins a new epoch.\n";
        }
        State::Broken(_) => {
            text += "  The gateway sets it aside when it comes to it; `millgate buffer repair` does it now.\n";
        }
        _ => {}
    }
    if part.conf_is_damaged {
        text += &format!(
            "{name}: its `conf` is torn; no event is lost by it, the next open renews it\n"
        );
    }
    text
}

/// What a loss means for whom.
pub(super) fn meaning(survey: &Survey, loss: &Loss) -> String {
    let lacking: Vec<String> = loss
        .misses
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(uplink, count)| format!("`{uplink}` does not get {}", words::events(*count)))
        .collect();
    match (lacking.as_slice(), survey.has_head) {
        ([], false) => "  Which uplinks had them already, nobody can say.\n".into(),
        ([], true) => {
            "  No uplink waits for them: each has settled them, or they are counted as dropped.\n"
                .into()
        }
        (lacking, _) => format!("  {}.\n", lacking.join(", ")),
    }
}

fn listed(place: &str, survey: &Survey) -> Value {
    let loss = |loss: &Loss| {
        json!({
            "from": loss.from.to_string(),
            "to": loss.to.to_string(),
            "count": loss.count(),
            "reason": loss.reason,
            "unsettled": by_uplink(&loss.misses),
        })
    };
    let part = |part: &Part| {
        let (state, reason) = match &part.state {
            State::Whole => ("whole", None),
            State::Partly => ("partly_unreadable", None),
            State::Broken(why) => ("damaged", Some(why)),
            State::SetAside => ("set_aside", None),
            State::Foreign(why) => ("of_another_release", Some(why)),
            State::Gone => ("removed_meanwhile", None),
        };
        json!({
            "generation": part.name.to_string(),
            "state": state,
            "reason": reason,
            "records": part.records,
            "lost": part.lost,
            "losses": part.losses.iter().map(loss).collect::<Vec<_>>(),
            "conf_is_damaged": part.conf_is_damaged,
        })
    };
    json!({
        "store": place,
        "good": survey.is_good(),
        "generations": survey.parts.iter().map(part).collect::<Vec<_>>(),
        "side_file": survey.side,
        "missing": survey.missing.iter().map(loss).collect::<Vec<_>>(),
        "new_epoch": survey.new_epoch.map(|why| why.words()),
        "parked": survey.parked.iter().map(|harm| json!({
            "uplink": harm.uplink,
            "lost": harm.lost,
            "files_damaged": harm.damaged,
        })).collect::<Vec<_>>(),
        "lost": by_uplink(&survey.missed),
        "half_made": survey.half_made,
    })
}

fn by_uplink(misses: &[(String, u64)]) -> BTreeMap<&str, u64> {
    let all = misses.iter();
    all.map(|(name, count)| (name.as_str(), *count)).collect()
}
