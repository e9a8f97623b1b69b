//! What the gateway answers on its control socket: it asks the stages, which do not know one another.

use super::rates::{Counts, Rates};
use crate::buffer::inspect::{
    Copied, CopyError, Inspector, Name, StoreStatus, copies_path, copy_generation,
};
use crate::buffer::{Closed, ParkedChange};
use crate::health::{DestinationState, Health};
use crate::observe::control::{self, Answers, Code, Greeting, PROTOCOL, Place, Refusal, Socket};
use crate::settings::Plant;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// How often the backlogs are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most events that a command announces at once.
const MAX_BESIDE: u32 = 1_000_000;

/// What a command may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", deny_unknown_fields)]
pub enum Ask {
    /// A [`StoreStatus`].
    #[serde(rename = "buffer.status")]
    BufferStatus {},
    /// A copy of one generation: answered with a [`CopyMade`], and there until the asker goes away.
    #[serde(rename = "buffer.copy")]
    BufferCopy {
        /// The name of its directory.
        generation: String,
    },
    /// Set a damaged older generation aside: answered with a [`crate::buffer::inspect::SetAside`].
    #[serde(rename = "buffer.set_aside")]
    BufferSetAside {
        /// The name of its directory.
        generation: String,
        /// What was found in it.
        reason: String,
    },
    /// Try parked events again, or discard them: answered with a [`crate::buffer::Changed`] when that is durable.
    #[serde(rename = "parked.change")]
    ParkedChange {
        /// The uplink whose they are.
        uplink: String,
        /// Which, what and why.
        change: ParkedChange,
    },
    /// A command is about to send events to an uplink's destination itself: they count towards the uplink's `rate_limit`.
    /// Answered with null.
    #[serde(rename = "uplink.beside")]
    UplinkBeside {
        /// The uplink.
        uplink: String,
        /// How many.
        events: u32,
    },
}

/// Where a copy lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyMade {
    /// The directory.
    pub path: PathBuf,
}

/// The path of the control socket of these settings, and the link to it.
#[must_use]
pub fn place(plant: &Plant) -> Place {
    let runtime = std::env::var("RUNTIME_DIRECTORY").ok();
    let buffer = std::path::absolute(&plant.buffer.path);
    let buffer = buffer.unwrap_or_else(|_| plant.buffer.path.clone());
    control::place(plant.control.socket.as_deref(), runtime.as_deref(), &buffer)
}

/// Listens on the control socket and answers until `stop`. A gateway whose socket cannot be made delivers events all the same:
/// it says so, and commands say it, too.
pub(super) async fn run(
    plant: Plant,
    inspector: Inspector,
    health: Arc<Health>,
    stop: CancellationToken,
) {
    let place = place(&plant);
    let socket = match Socket::listen(place) {
        Ok(socket) => socket,
        Err(refused) => {
            error!("no control socket, so no command can talk to this gateway: {refused}");
            return;
        }
    };
    info!(socket = %socket.path().display(), "commands are answered");
    let greeting = Greeting {
        millgate: env!("CARGO_PKG_VERSION").into(),
        protocol: PROTOCOL,
        gateway: plant.gateway.id.clone(),
        pid: std::process::id(),
        store: inspector.path().to_owned(),
    };
    let desk = Desk {
        inspector,
        health,
        uplinks: plant.uplinks.iter().map(|it| it.name.clone()).collect(),
        max_bytes: plant.buffer.max_size.0,
        rates: Mutex::new(plant.uplinks.iter().map(|_| Rates::default()).collect()),
    };
    let answer = |asked: Value| {
        let desk = &desk;
        async move { desk.answer(asked).await }
    };
    let looking = async {
        let mut turns = interval(LOOK_EVERY);
        loop {
            turns.tick().await;
            desk.look(Instant::now().into_std());
        }
    };
    tokio::select! {
        () = control::serve(socket, greeting, answer, stop) => {}
        () = looking => {}
    }
}

/// Who is asked.
struct Desk {
    inspector: Inspector,
    health: Arc<Health>,
    /// Names, by their ids.
    uplinks: Vec<String>,
    max_bytes: u64,
    /// By uplink id.
    rates: Mutex<Vec<Rates>>,
}

impl Desk {
    /// Looks at the backlogs, so that it is known how fast they go.
    fn look(&self, now: std::time::Instant) {
        let backlogs = self.health.buffer.backlogs.get();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        for (nth, rates) in rates.iter_mut().enumerate() {
            let counts = backlogs.get(nth).map(|backlog| Counts {
                delivered: backlog.delivered,
                waiting: backlog.stored,
            });
            rates.look(now, counts.filter(|_| self.paused(nth).is_none()));
        }
    }

    /// Why nothing is sent to an uplink.
    fn paused(&self, nth: usize) -> Option<String> {
        let cells = self.health.uplinks.get(nth)?;
        let state = cells.destination.other_than(&DestinationState::default())?;
        state.paused
    }

    async fn answer(&self, asked: Value) -> Answers {
        let answered = match serde_json::from_value(asked) {
            Ok(Ask::BufferStatus {}) => self.status().await,
            Ok(Ask::BufferCopy { generation }) => self.copy(&generation).await,
            Ok(Ask::BufferSetAside { generation, reason }) => {
                self.set_aside(&generation, reason).await
            }
            Ok(Ask::ParkedChange { uplink, change }) => self.change_parked(uplink, change).await,
            Ok(Ask::UplinkBeside { uplink, events }) => self.beside(&uplink, events),
            Err(error) => Err(Refusal::new(
                Code::Unknown,
                format!("this gateway does not know the request: {error}"),
            )),
        };
        answered.unwrap_or_else(Answers::refused)
    }

    async fn status(&self) -> Result<Answers, Refusal> {
        let mut status: StoreStatus = self.inspector.status().await.map_err(stopping)?;
        status.max_bytes = Some(self.max_bytes);
        status.refusing = self.health.buffer.refusing.now().map(|now| now.why);
        let now = Instant::now().into_std();
        let rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        for (nth, (uplink, rates)) in status.uplinks.iter_mut().zip(rates.iter()).enumerate() {
            uplink.paused = self.paused(nth);
            let counts = Counts {
                delivered: uplink.delivered,
                waiting: uplink.waiting,
            };
            let goes = uplink.paused.is_none();
            uplink.drain = rates.drain(now, counts).filter(|_| goes);
        }
        drop(rates);
        Ok(Answers::one(json!(status)))
    }

    async fn copy(&self, generation: &str) -> Result<Answers, Refusal> {
        let name = named(generation)?;
        let path = self.inspector.path().to_owned();
        let copied = match self.inspector.copy_head(name).await.map_err(stopping)? {
            Some(copied) => copied,
            None => lying_still(path, name).await?,
        };
        let copied = copied.map_err(|error| {
            let code = match error {
                CopyError::Gone(_) => Code::Gone,
                CopyError::NoRoom { .. } => Code::NoRoom,
                CopyError::Io { .. } => Code::Io,
            };
            Refusal::new(code, error.to_string())
        })?;
        let made = CopyMade {
            path: copied.path().to_owned(),
        };
        Ok(Answers {
            held: Some(Box::new(copied) as Box<dyn Any + Send>),
            ..Answers::one(json!(made))
        })
    }

    async fn set_aside(&self, generation: &str, reason: String) -> Result<Answers, Refusal> {
        let name = named(generation)?;
        let asked = self.inspector.set_aside(name.first, reason).await;
        let done = asked.map_err(stopping)?;
        let lost = done.map_err(|why| Refusal::new(Code::NotNow, why))?;
        Ok(Answers::one(json!(lost)))
    }

    async fn change_parked(
        &self,
        uplink: String,
        change: ParkedChange,
    ) -> Result<Answers, Refusal> {
        let place = self.uplinks.iter().position(|name| *name == uplink);
        let asked = self.inspector.change_parked(uplink, change).await;
        let done = asked.map_err(stopping)?;
        let (changed, groups) = done.map_err(|why| Refusal::new(Code::Io, why))?;
        // The uplink looks itself only now and then.
        if let Some(cells) = place.and_then(|place| self.health.uplinks.get(place)) {
            cells.parked.set(groups);
        }
        Ok(Answers::one(json!(changed)))
    }
}

impl Desk {
    fn beside(&self, uplink: &str, events: u32) -> Result<Answers, Refusal> {
        let place = self.uplinks.iter().position(|name| name == uplink);
        let cells = place.and_then(|place| self.health.uplinks.get(place));
        let cells = cells.filter(|_| events <= MAX_BESIDE).ok_or_else(|| {
            let why = format!("no uplink `{uplink}` runs here, or {events} events are too many");
            Refusal::new(Code::Unknown, why)
        })?;
        cells.beside.add(events.into());
        Ok(Answers::one(Value::Null))
    }
}

/// A copy of what nobody writes to any more, on a thread that may wait for the disk.
async fn lying_still(path: PathBuf, name: Name) -> Result<Result<Copied, CopyError>, Refusal> {
    let copying = tokio::task::spawn_blocking(move || {
        copy_generation(&path, name, &copies_path(Path::new(&path)))
    });
    let copied = copying.await;
    copied.map_err(|error| Refusal::new(Code::Io, error.to_string()))
}

fn named(generation: &str) -> Result<Name, Refusal> {
    Name::parse(generation).ok_or_else(|| {
        Refusal::new(
            Code::Unknown,
            "a generation is called by the name of its directory",
        )
    })
}

fn stopping(_: Closed) -> Refusal {
    Refusal::new(Code::NotNow, "the gateway is stopping: try again")
}
