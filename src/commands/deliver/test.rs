//! `millgate deliver test`: one marked event to one destination, and one of the gateway itself where that goes elsewhere;
//! `attempt` goes the way step by step, here is what the steps mean.

use super::super::{Exit, Failure, terminal};
use super::attempt::{Attempt, topic};
use super::{Whither, sample};
use crate::buffer::Record;
use crate::deliver::{Courier, Glimpse, Parcel, Said, Timing, Word, parcel};
use crate::model::ParkClass;
use crate::settings::shape::{Acknowledge, MqttVersion, Secret};
use crate::settings::{Plant, Uplink, UplinkProtocol};
use anyhow::{Context, anyhow};
use serde_json::{Map, Value, json};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Longest file of an event: more than any event has, and its white space.
const MAX_FILE: u64 = 1 << 20;

/// Send one event that is marked as a test, and explain the answer in words. Where the gateway's own events go elsewhere, one
/// of them, too; and to each broker of `fallback`.
#[derive(Debug, clap::Args)]
pub(super) struct Test {
    #[command(flatten)]
    whither: Whither,
    /// Only show what would be sent, and where to.
    #[arg(long)]
    dry_run: bool,
    /// A CloudEvent of your own instead; it is marked as a test, too, and gets an id of its own.
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// One step, as it is told.
pub(super) struct Step {
    /// The broker it was made at, where there are several.
    pub(super) server: Option<String>,
    pub(super) what: String,
    pub(super) words: Vec<String>,
    /// Where it ends here: the code to exit with.
    pub(super) exit: Option<Exit>,
}

impl Step {
    pub(super) fn good(what: &str, words: Vec<String>) -> Step {
        Step {
            server: None,
            what: what.into(),
            words,
            exit: None,
        }
    }

    pub(super) fn bad(what: &str, exit: Exit, why: String) -> Step {
        Step {
            server: None,
            what: what.into(),
            words: vec![why],
            exit: Some(exit),
        }
    }

    pub(super) fn text(&self) -> String {
        let mark = if self.exit.is_some() { "NO" } else { "ok" };
        let words = self.words.join("\n               ");
        format!("{:<11}{mark}  {words}\n", self.what)
    }

    fn json(&self) -> Value {
        json!({
            "server": self.server,
            "step": self.what,
            "ok": self.exit.is_none(),
            "words": self.words,
        })
    }
}

impl Test {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (plant, uplink) = self.whither.find()?;
        let records = self.records(&plant, &uplink)?;
        if self.dry_run {
            return self.show(&plant, &uplink, &records);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Software, error))?;
        let mut attempt = Attempt::new(&plant, &records, !self.json);
        runtime.block_on(attempt.run(&uplink))?;
        let steps = attempt.steps;
        let exit = steps.iter().find_map(|step| step.exit);
        if self.json {
            let steps: Vec<Value> = steps.iter().map(Step::json).collect();
            let ids = records.iter().map(|record| record.envelope.id.to_string());
            let ids: Vec<String> = ids.collect();
            let result = json!({
                "uplink": uplink.name,
                "accepted": exit.is_none(),
                "steps": steps,
                "event_id": ids.first(),
                "event_ids": ids,
            });
            terminal::print(&format!("{result:#}\n"))?;
        }
        exit.map_or(Ok(()), |exit| Err(Failure::told(exit)))
    }

    /// What is sent: the event of the file; else one of the settings, and a heartbeat where that is wanted and goes elsewhere.
    fn records(&self, plant: &Plant, uplink: &Uplink) -> Result<Vec<Record>, Failure> {
        if let Some(path) = &self.event {
            let text = read(path)?;
            let record = sample::read(&text, plant)
                .map_err(|why| Failure::new(Exit::Data, anyhow!("{}: {why}", path.display())))?;
            return Ok(vec![record]);
        }
        let first = sample::made(plant);
        let config = |error| Failure::new(Exit::Config, error);
        let courier = Courier::new(&plant.gateway, uplink, "test", Timing::default());
        let own = sample::heartbeat_of(plant);
        if !courier.map_err(config)?.wants(&own.envelope.kind) || first.envelope.equipment.is_none()
        {
            return Ok(vec![first]);
        }
        let place = |record: &Record| -> Result<Option<String>, Failure> {
            let made = parcel(&plant.gateway, uplink, record).map_err(config)?;
            Ok(made.ok().and_then(|it| topic(&it).or(it.url)))
        };
        Ok(match place(&own)? {
            Some(its) if Some(&its) != place(&first)?.as_ref() => vec![first, own],
            _ => vec![first],
        })
    }

    /// `--dry-run`
    fn show(&self, plant: &Plant, uplink: &Uplink, records: &[Record]) -> Result<(), Failure> {
        let mut shown = Vec::new();
        for record in records {
            let made = parcel(&plant.gateway, uplink, record);
            let made = made.map_err(|error| Failure::new(Exit::Config, error))?;
            let why = |why| Failure::new(Exit::Data, anyhow!("it has no form there: {why}"));
            shown.push(made.map_err(why)?);
        }
        if self.json {
            let mut all = shown.iter().map(parcel_json);
            let mut first = all.next().unwrap_or_default();
            first.insert("uplink".into(), uplink.name.clone().into());
            first.insert("also".into(), all.map(Value::Object).collect());
            return terminal::print(&format!("{:#}\n", Value::Object(first)));
        }
        let all: Vec<String> = shown.iter().map(parcel_text).collect();
        terminal::print(&all.join("\n"))?;
        terminal::print_error("nothing was sent\n")
    }
}

fn parcel_json(parcel: &Parcel) -> Map<String, Value> {
    let label = parcel.label.iter().cloned();
    let label: Map<String, Value> = label.map(|(name, value)| (name, value.into())).collect();
    let body = String::from_utf8_lossy(&parcel.body).into_owned();
    Map::from_iter([
        ("label".to_owned(), label.into()),
        ("body".to_owned(), body.into()),
    ])
}

fn parcel_text(parcel: &Parcel) -> String {
    let label = parcel.label.iter();
    let label: String = label
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect();
    let pretty: Option<Value> = serde_json::from_slice(&parcel.body).ok();
    let body = match pretty {
        Some(json) => format!("{json:#}"),
        None => String::from_utf8_lossy(&parcel.body).into_owned(),
    };
    format!("{label}\n{body}\n")
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let opened = std::fs::File::open(path);
    let read = opened.and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
    let exit = match read.as_ref().map_err(std::io::Error::kind) {
        Ok(_) => return Ok(text),
        Err(ErrorKind::NotFound | ErrorKind::PermissionDenied) => Exit::NoInput,
        Err(_) => Exit::Io,
    };
    let told: Result<_, _> = read.with_context(|| format!("{} cannot be read", path.display()));
    Err(Failure {
        exit,
        error: told.err(),
    })
}

/// What the settings say, and whether the secrets that they name can be read.
pub(super) fn settings(uplink: &Uplink, courier: &Courier, records: &[Record]) -> Step {
    for secret in secrets(&uplink.protocol) {
        if let Err(error) = secret.read() {
            return Step::bad("settings", Exit::Config, error.to_string());
        }
    }
    let mut words = vec![format!("{} to {}", uplink.name, courier.destination())];
    let kinds = records.iter().map(|record| &record.envelope.kind);
    for kind in kinds.filter(|kind| !courier.wants(kind)) {
        words.push(format!(
            "its `events:` leave out {kind}, which is sent all the same: the gateway would not"
        ));
    }
    Step::good("settings", words)
}

fn secrets(protocol: &UplinkProtocol) -> Vec<&Secret> {
    let (users, tls, tokens) = match protocol {
        UplinkProtocol::Mqtt(mqtt) => ([&mqtt.user, &None], &mqtt.tls, [None, None]),
        UplinkProtocol::Http(http) => {
            let client = http.oauth2.as_ref().map(|oauth2| &oauth2.secret);
            (
                [&http.basic, &http.proxy_user],
                &http.tls,
                [http.bearer.as_ref(), client],
            )
        }
    };
    let passwords = users.into_iter().flatten().map(|user| &user.password);
    let key = tls.iter().filter_map(|tls| tls.key.as_ref());
    let tokens = tokens.into_iter().flatten();
    passwords.chain(key).chain(tokens).collect()
}

/// Whose matter it is that the connection ends.
pub(super) fn blame(why: &str) -> Exit {
    if why.contains("check `user`") {
        Exit::NoPermission
    } else if why.contains(": set `") || why.contains(": write `") {
        Exit::Config
    } else {
        Exit::Unavailable
    }
}

pub(super) fn answer(uplink: &Uplink, record: &Record, said: &Said) -> Step {
    let (exit, advice) = meaning(uplink, said);
    let mut words = vec![match (said.word, &said.answer) {
        (Word::Accepted, Some(answer)) => format!("accepted ({})", answer.status),
        (Word::Accepted, None) => "accepted".to_owned(),
        _ => said.reason.clone(),
    }];
    words.extend(said.answer.iter().flat_map(heard));
    words.extend(advice.into_iter().map(str::to_owned));
    if said.reason.contains("(0x10)") && record.envelope.equipment.is_none() {
        words.push(
            "the gateway's own events have a topic of their own: subscribe to it, too, or leave `gateway.*` out of `events:`; each of them would stop all that come after it".into(),
        );
    }
    if exit.is_none() {
        words.push(format!(
            "look there for the event {}: it says `test: true`, and is not to be booked",
            record.envelope.id
        ));
    }
    Step {
        exit,
        ..Step::good("answer", words)
    }
}

/// What an HTTP server said, and what to do where that does not fit its status.
fn heard(answer: &Glimpse) -> Vec<String> {
    let mut words = Vec::new();
    if !answer.words.is_empty() {
        words.push(format!("it says: {}", answer.words));
    }
    if let Some(line) = &answer.refusal {
        words.push(format!(
            "LOOK: that sounds like a refusal, and {} counts as accepted whatever else is said; if it is one, put this line under `http:` of the uplink, and try again:",
            answer.status
        ));
        words.push(format!("  {line}"));
    }
    words
}

/// The code to exit with, and what the answer means.
fn meaning(uplink: &Uplink, said: &Said) -> (Option<Exit>, Vec<&'static str>) {
    let denied = matches!(said.status, Some(401 | 403)) || said.reason.contains("(0x87)");
    match said.word {
        Word::Accepted => (None, accepted(uplink)),
        Word::Rejected(ParkClass::Schema) => (
            Some(Exit::Data),
            vec![
                "the way is good; it does not understand the event: compare its interface with `--dry-run`",
            ],
        ),
        Word::Rejected(_) => (
            Some(Exit::Data),
            vec![
                "the way is good; it does not want this event, which has no order and no part: try one of yours with `--event FILE`",
            ],
        ),
        Word::Refused | Word::Conflict => (
            Some(Exit::Data),
            vec!["the way is good; it does not take the event: its log says why"],
        ),
        Word::Unavailable if denied => (
            Some(Exit::NoPermission),
            vec!["the gateway would wait and try again: nothing is lost by it"],
        ),
        Word::Unavailable if matches!(said.status, Some(200..=299)) => (
            Some(Exit::Config),
            vec![
                "this looks like a login page, or a page for people: `url` in the settings is not where events are taken, or the gateway has to log in otherwise",
            ],
        ),
        Word::Unavailable if matches!(said.status, Some(300..=399 | 404 | 410)) => (
            Some(Exit::Config),
            vec!["`url` in the settings is not where events are taken"],
        ),
        Word::Unavailable => (
            Some(Exit::Unavailable),
            vec!["the gateway would wait and try again: nothing is lost by it"],
        ),
        Word::Pending => (
            Some(Exit::Unavailable),
            vec![
                "it has the event, and its verdict did not come in time: the gateway would ask again later",
            ],
        ),
        Word::Unanswered => (
            Some(Exit::Unavailable),
            vec!["there was no verdict: the gateway would send the event again"],
        ),
    }
}

/// What an acceptance does not say.
fn accepted(uplink: &Uplink) -> Vec<&'static str> {
    let mut words = Vec::new();
    if let UplinkProtocol::Mqtt(mqtt) = &uplink.protocol {
        if uplink.acknowledge == Acknowledge::Broker {
            words.push(
                "the broker has it; whether the MES takes it is not waited for (`acknowledge: broker`)",
            );
        }
        if mqtt.version == MqttVersion::V3 && uplink.acknowledge == Acknowledge::Broker {
            words.push(
                "MQTT 3.1.1 cannot say that the topic is not permitted, or that nobody reads it: `version: 5` can",
            );
        }
    }
    words
}
