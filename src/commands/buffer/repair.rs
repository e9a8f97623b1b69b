//! `millgate buffer repair`: sets aside what is damaged and renews what can be renewed, as a start of the gateway would, but now
//! and with everything said before. Deletes no event that can be read; half-made directories that a crash left go, as at a
//! start.

use super::super::{Exit, Failure, terminal};
use super::site::{Gateway, Site, Which, deaf, failure};
use super::survey::{Loss, Part, State, Survey};
use super::verify::meaning;
use super::words;
use crate::buffer::inspect::{RepairError, SetAside, ShutStore};
use crate::gateway::control::Ask;
use crate::model::Position;
use anyhow::anyhow;
use serde_json::json;
use std::io::{self, BufRead, IsTerminal};

/// `buffer.generation_size` where no settings are named: only the next rotation looks at it.
const GENERATION_BYTES: u64 = 8 << 20;

/// Set aside what is damaged, renew what can be renewed, and say what was lost. Deletes no event.
#[derive(Debug, clap::Args)]
pub(super) struct Repair {
    #[command(flatten)]
    which: Which,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Print what was done as JSON.
    #[arg(long)]
    json: bool,
}

/// What there is to do.
struct Plan<'a> {
    survey: &'a Survey,
    /// To be set aside.
    broken: Vec<(&'a Part, &'a str)>,
    /// In words.
    renewed: Vec<String>,
    /// What only the next start of the running gateway does, in words.
    left: Vec<String>,
}

impl Repair {
    /// Of the store in this `buffer.path`, without asking.
    #[cfg(test)]
    pub(super) fn at(path: &std::path::Path) -> Repair {
        Repair {
            which: Which::at(path),
            dry_run: false,
            yes: true,
            json: false,
        }
    }

    pub(super) fn run(self) -> Result<(), Failure> {
        let site = self.which.site()?;
        let store = site.store()?;
        let survey = Survey::take(&site, &store)?;
        if let Some((part, why)) = survey.foreign() {
            let error = anyhow!(
                "{}: {why}. Nothing was touched: repair it with the release that wrote it",
                part.name
            );
            return Err(Failure::new(Exit::Data, error));
        }
        let runs = match site.gateway(&store)? {
            Gateway::Runs(_) => true,
            Gateway::Away(_) => false,
            Gateway::Deaf => return Err(deaf(&site.path)),
        };
        let plan = Plan::of(&survey, runs);
        if plan.is_empty() {
            return self.nothing(&plan);
        }
        plan.possible(&store, runs)?;
        terminal::print_error(&plan.text())?;
        if self.dry_run {
            return terminal::print_error("Nothing was done (--dry-run).\n");
        }
        if !self.yes && !agreed()? {
            return terminal::print_error("Nothing was done.\n");
        }
        let (done, new_epoch) = match runs {
            true => (beside(&site, &plan)?, None),
            false => alone(&site, &store, &plan)?,
        };
        self.tell(&store, &plan, &done, new_epoch)
    }

    fn nothing(&self, plan: &Plan<'_>) -> Result<(), Failure> {
        if self.json {
            let report = json!({ "set_aside": [], "renewed": [], "left": plan.left });
            return terminal::print(&format!("{report:#}\n"));
        }
        match plan.left.is_empty() {
            true => terminal::print("Nothing to repair.\n"),
            false => terminal::print(&format!(
                "Nothing to repair beside a running gateway.\n{}",
                plan.left()
            )),
        }
    }

    fn tell(
        &self,
        store: &ShutStore,
        plan: &Plan<'_>,
        done: &[SetAside],
        new_epoch: Option<&'static str>,
    ) -> Result<(), Failure> {
        if self.json {
            let report = json!({
                "set_aside": done, "renewed": plan.renewed, "left": plan.left, "new_epoch": new_epoch
            });
            return terminal::print(&format!("{report:#}\n"));
        }
        let mut text = String::new();
        for (part, _) in &plan.broken {
            text += &format!(
                "set aside: {}\n",
                store
                    .root()
                    .join(format!("damaged-{}", part.name))
                    .display()
            );
        }
        for what in &plan.renewed {
            text += &format!("done: {what}\n");
        }
        if let Some(why) = new_epoch {
            text += &format!("a new epoch has begun: {why}\n");
        }
        if !plan.broken.is_empty() {
            text += "`millgate buffer export --damaged` writes what can be read of them. The uplinks are told what was dropped.\n";
        }
        text += &plan.left();
        terminal::print(&text)
    }
}

impl<'a> Plan<'a> {
    fn of(survey: &'a Survey, runs: bool) -> Plan<'a> {
        let broken = survey.parts.iter().filter_map(|part| match &part.state {
            State::Broken(why) => Some((part, why.as_str())),
            _ => None,
        });
        let broken: Vec<_> = broken.collect();
        let all = renewals(survey);
        // A running gateway has a state of its own, and would not have these changed under it.
        let (renewed, left) = match runs {
            true => (Vec::new(), all),
            false => (all, Vec::new()),
        };
        Plan {
            survey,
            broken,
            renewed,
            left,
        }
    }

    /// What is left to the gateway, in words.
    fn left(&self) -> String {
        let lines = self.left.iter().map(|what| format!("- {what}\n"));
        let lines: String = lines.collect();
        match lines.as_str() {
            "" => lines,
            _ => format!(
                "The gateway runs, and does the rest by itself when it comes to it, at its next start at the latest \
                 (`systemctl restart millgate`):\n{lines}"
            ),
        }
    }

    /// Generations that are opened and read, so that what the plan says of them is done.
    fn renewing(&self) -> impl Iterator<Item = &Part> {
        let parts = self.survey.parts.iter();
        parts.filter(|part| {
            let renews = part.conf_is_damaged && !matches!(part.state, State::Broken(_));
            // Also what nobody misses: how much of it was evicted before, only what is there besides can tell.
            renews || part.state == State::Partly
        })
    }

    fn is_empty(&self) -> bool {
        self.broken.is_empty() && self.renewed.is_empty()
    }

    /// What cannot be done is said before anything is.
    fn possible(&self, store: &ShutStore, runs: bool) -> Result<(), Failure> {
        if runs && self.broken.iter().any(|(part, _)| part.is_newest) {
            let error = anyhow!(
                "the newest generation is damaged, and a gateway writes to it: stop the gateway, then repair"
            );
            return Err(Failure::new(Exit::Unavailable, error));
        }
        let room = store.room_for_damaged().map_err(failure)?;
        // The newest ones any start sets aside, and keeps all of them.
        let older = self.broken.iter().filter(|(part, _)| !part.is_newest);
        let older = older.count();
        if older > room {
            let error = anyhow!(
                "{} generations are damaged, and only {room} more can be set aside before the oldest of those would be \
                 removed: move the directories `damaged-...` out of {} first",
                older,
                store.root().display()
            );
            return Err(Failure::new(Exit::Data, error));
        }
        Ok(())
    }

    fn text(&self) -> String {
        let mut text = String::from("To be done:\n");
        for (part, why) in &self.broken {
            let s = &part.name;
            text += &format!("- set {s} aside, which is damaged ({why})\n");
            for loss in &part.losses {
                text += &self.loss(loss, part.records);
            }
        }
        for what in &self.renewed {
            text += &format!("- {what}\n");
        }
        text
    }

    fn loss(&self, loss: &Loss, readable: u64) -> String {
        let mut text = format!(
            "  Lost with it: {} ({})",
            words::range(loss.from, loss.to),
            words::events(loss.count())
        );
        if readable > 0 {
            text += &format!(
                "; {} of them `export --damaged` can still read",
                words::number(readable)
            );
        }
        format!("{text}.\n{}", meaning(self.survey, loss))
    }
}

/// What is made anew, tidied up and counted, in words.
fn renewals(survey: &Survey) -> Vec<String> {
    let mut renewed = Vec::new();
    if let Some(why) = survey.side {
        renewed.push(format!("make the side file `progress` anew ({why})"));
    }
    for name in &survey.half_made {
        renewed.push(format!("tidy up {name}, which a crash left"));
    }
    for part in survey.parts.iter().filter(|part| part.conf_is_damaged) {
        if !matches!(part.state, State::Broken(_)) {
            renewed.push(format!("make the `conf` of {} anew", part.name));
        }
    }
    for part in survey.parts.iter().filter(|part| part.misses_events()) {
        let (name, lost) = (part.name, words::events(part.lost));
        renewed.push(format!(
            "count {lost} of {name} as lost, which cannot be read"
        ));
    }
    renewed.extend(counted(survey));
    renewed
}

/// What a start counts as dropped, and begins anew.
fn counted(survey: &Survey) -> Vec<String> {
    let mut all = Vec::new();
    for loss in &survey.missing {
        let (count, range) = (loss.count(), words::range(loss.from, loss.to));
        all.push(format!(
            "count {} as lost, {range}, which no part of the store has",
            words::events(count)
        ));
    }
    for harm in &survey.parked {
        let uplink = &harm.uplink;
        if harm.damaged > 0 {
            let files = harm.damaged;
            all.push(format!(
                "set aside {files} damaged files of parked events of `{uplink}`"
            ));
        }
        if harm.lost > 0 {
            let lost = words::events(harm.lost);
            all.push(format!("count {lost} of `{uplink}` as lost, once parked"));
        }
    }
    if let Some(why) = survey.new_epoch {
        all.push(format!("begin a new epoch: {}", why.words()));
    }
    all
}

/// Asks. Nobody there to answer is no.
fn agreed() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        let error = anyhow!("nobody is there to ask: say `--yes` to do it, or `--dry-run`");
        return Err(Failure::new(Exit::Usage, error));
    }
    terminal::print_error("Do it? [y/N] ")?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::new(Exit::Io, error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Through the gateway, one after the other.
fn beside(site: &Site, plan: &Plan<'_>) -> Result<Vec<SetAside>, Failure> {
    let mut done = Vec::new();
    for (part, why) in &plan.broken {
        let mut conversation = site.running()?.ok_or_else(|| {
            Failure::new(
                Exit::Unavailable,
                anyhow!("the gateway has stopped meanwhile: try again"),
            )
        })?;
        let question = Ask::BufferSetAside {
            generation: part.name.to_string(),
            reason: (*why).chars().take(MAX_REASON).collect(),
        };
        done.push(site.ask(&mut conversation, &question)?);
    }
    Ok(done)
}

/// Longest reason that is handed over, in characters.
const MAX_REASON: usize = 200;

/// Under the lock, by opening the store as a gateway does; that sets a damaged newest generation aside by itself.
fn alone(
    site: &Site,
    store: &ShutStore,
    plan: &Plan<'_>,
) -> Result<(Vec<SetAside>, Option<&'static str>), Failure> {
    let uplinks = plan.survey.missed.iter();
    let mut uplinks: Vec<String> = uplinks.map(|(name, _)| name.clone()).collect();
    if let Some(plant) = site.plant.as_ref().filter(|_| uplinks.is_empty()) {
        // No state is left that knows them: the settings do.
        uplinks.extend(plant.uplinks.iter().map(|uplink| uplink.name.clone()));
    }
    let older: Vec<(Position, String)> = plan
        .broken
        .iter()
        .filter(|(part, _)| !part.is_newest)
        .map(|(part, why)| (part.name.first, (*why).to_owned()))
        .collect();
    let renew: Vec<Position> = plan.renewing().map(|part| part.name.first).collect();
    let bytes = site
        .plant
        .as_ref()
        .map_or(GENERATION_BYTES, |plant| plant.buffer.generation_size.0);
    let (done, why) =
        store
            .repair(&uplinks, &older, &renew, bytes)
            .map_err(|error| match error {
                RepairError::Store(error) => Failure::new(Exit::Io, error),
                error @ RepairError::Owner(_) => Failure::new(Exit::Io, error),
                RepairError::Left(why) => Failure::new(Exit::Data, anyhow!("{why}")),
            })?;
    Ok((done, why.map(|why| why.words())))
}
