//! `millgate deliver test`: one marked event to one destination, and each step of its way in words.

use super::super::{Exit, Failure, terminal};
use super::{Whither, sample};
use crate::buffer::Record;
use crate::deliver::way::{self, End};
use crate::deliver::{Courier, Parcel, Said, Timing, Word, parcel};
use crate::model::ParkClass;
use crate::settings::shape::{Acknowledge, MqttVersion, Secret};
use crate::settings::{Plant, Uplink, UplinkProtocol};
use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Longest file of an event: more than any event has, and its white space.
const MAX_FILE: u64 = 1 << 20;

/// Send one event that is marked as a test, and explain the answer in words.
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
struct Step {
    what: String,
    words: Vec<String>,
    /// Where it ends here: the code to exit with.
    exit: Option<Exit>,
}

impl Step {
    fn good(what: &str, words: Vec<String>) -> Step {
        Step {
            what: what.into(),
            words,
            exit: None,
        }
    }

    fn bad(what: &str, exit: Exit, why: String) -> Step {
        Step {
            what: what.into(),
            words: vec![why],
            exit: Some(exit),
        }
    }

    fn text(&self) -> String {
        let mark = if self.exit.is_some() { "NO" } else { "ok" };
        let words = self.words.join("\n               ");
        format!("{:<11}{mark}  {words}\n", self.what)
    }

    fn json(&self) -> Value {
        json!({ "step": self.what, "ok": self.exit.is_none(), "words": self.words })
    }
}

impl Test {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (plant, uplink) = self.whither.find()?;
        let record = self.record(&plant)?;
        if self.dry_run {
            return self.show(&plant, &uplink, &record);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Exit::Software, error))?;
        let mut steps = Vec::new();
        let tried = runtime.block_on(self.attempt(&plant, &uplink, &record, &mut steps));
        tried?;
        let exit = steps.iter().find_map(|step| step.exit);
        if self.json {
            let steps: Vec<Value> = steps.iter().map(Step::json).collect();
            let result = json!({
                "uplink": uplink.name,
                "accepted": exit.is_none(),
                "steps": steps,
                "event_id": record.envelope.id,
            });
            terminal::print(&format!("{result:#}\n"))?;
        }
        exit.map_or(Ok(()), |exit| Err(Failure::told(exit)))
    }

    fn record(&self, plant: &Plant) -> Result<Record, Failure> {
        let Some(path) = &self.event else {
            return Ok(sample::made(plant));
        };
        let text = read(path)?;
        sample::read(&text, plant)
            .map_err(|why| Failure::new(Exit::Data, anyhow!("{}: {why}", path.display())))
    }

    /// `--dry-run`
    fn show(&self, plant: &Plant, uplink: &Uplink, record: &Record) -> Result<(), Failure> {
        let made = parcel(&plant.gateway, uplink, record);
        let made = made.map_err(|error| Failure::new(Exit::Config, error))?;
        let Parcel { label, body, .. } =
            made.map_err(|why| Failure::new(Exit::Data, anyhow!("it has no form there: {why}")))?;
        let text = String::from_utf8_lossy(&body);
        if self.json {
            let label: serde_json::Map<String, Value> = label
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect();
            let shown = json!({ "uplink": uplink.name, "label": label, "body": text });
            return terminal::print(&format!("{shown:#}\n"));
        }
        let mut shown = String::new();
        for (name, value) in &label {
            shown += &format!("{name}: {value}\n");
        }
        let pretty: Option<Value> = serde_json::from_slice(&body).ok();
        let text = pretty.map_or(text.into_owned(), |json| format!("{json:#}"));
        terminal::print(&format!("{shown}\n{text}\n"))?;
        terminal::print_error("nothing was sent\n")
    }

    /// Step by step, until one ends it.
    async fn attempt(
        &self,
        plant: &Plant,
        uplink: &Uplink,
        record: &Record,
        steps: &mut Vec<Step>,
    ) -> Result<(), Failure> {
        let mut tell = |step: Step| -> Result<bool, Failure> {
            if !self.json {
                terminal::print(&step.text())?;
            }
            let goes_on = step.exit.is_none();
            steps.push(step);
            Ok(goes_on)
        };
        let courier = Courier::new(&plant.gateway, uplink, "test", Timing::default());
        let mut courier = courier.map_err(|error| Failure::new(Exit::Config, error))?;
        if !tell(settings(uplink, &courier, record))? {
            return Ok(());
        }
        let made = parcel(&plant.gateway, uplink, record);
        let parcel = match made.map_err(|error| Failure::new(Exit::Config, error))? {
            Ok(parcel) => parcel,
            Err(why) => {
                let why = format!("the event has no form there: {why}");
                return tell(Step::bad("event", Exit::Data, why)).map(drop);
            }
        };
        for step in way::walk(uplink, parcel.url.as_deref()).await {
            let exit = step.ends.map(|end| match end {
                End::Settings => Exit::Config,
                End::Unreachable => Exit::Unavailable,
            });
            let what = step.what.to_owned();
            let words = step.words;
            if !tell(Step { what, words, exit })? {
                return Ok(());
            }
        }
        let connected = courier.connect().await;
        let is_mqtt = matches!(uplink.protocol, UplinkProtocol::Mqtt(_));
        if is_mqtt || connected.is_err() {
            let step = match connected {
                Ok(()) => Step::good("login", vec!["the broker lets us in".into()]),
                Err(why) => Step::bad("login", blame(&why), why),
            };
            if !tell(step)? {
                return Ok(());
            }
        }
        match (
            &parcel.url,
            parcel.label.iter().find(|(name, _)| name == "topic"),
        ) {
            (Some(url), _) => tell(Step::good("URL", vec![url.clone()]))?,
            (None, Some((_, topic))) => tell(Step::good("topic", vec![topic.clone()]))?,
            (None, None) => true,
        };
        courier.send(record);
        let step = match courier.next().await {
            Ok(said) => answer(uplink, record, &said),
            Err(why) => Step::bad("answer", blame(&why), why),
        };
        tell(step).map(drop)
    }
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
fn settings(uplink: &Uplink, courier: &Courier, record: &Record) -> Step {
    for secret in secrets(&uplink.protocol) {
        if let Err(error) = secret.read() {
            return Step::bad("settings", Exit::Config, error.to_string());
        }
    }
    let mut words = vec![format!("{} to {}", uplink.name, courier.destination())];
    if let UplinkProtocol::Mqtt(mqtt) = &uplink.protocol
        && !mqtt.fallback.is_empty()
    {
        let others = mqtt.fallback.join(", ");
        words.push(format!("its `fallback` is not tried here: {others}"));
    }
    let kind = &record.envelope.kind;
    if !courier.wants(kind) {
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
fn blame(why: &str) -> Exit {
    if why.contains("check `user`") {
        Exit::NoPermission
    } else if why.contains(": set `") || why.contains(": write `") {
        Exit::Config
    } else {
        Exit::Unavailable
    }
}

fn answer(uplink: &Uplink, record: &Record, said: &Said) -> Step {
    let (exit, advice) = meaning(uplink, said);
    let mut words = vec![match said.word {
        Word::Accepted => "accepted".to_owned(),
        _ => said.reason.clone(),
    }];
    words.extend(advice.into_iter().map(str::to_owned));
    if exit.is_none() {
        words.push(format!(
            "look there for the event {}: it says `test: true`, and is not to be booked",
            record.envelope.id
        ));
    }
    Step {
        what: "answer".into(),
        words,
        exit,
    }
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
