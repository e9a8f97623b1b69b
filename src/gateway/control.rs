//! What the gateway answers on its control socket: it asks the stages, which do not know one another.

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
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

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
    };
    let answer = |asked: Value| {
        let desk = &desk;
        async move { desk.answer(asked).await }
    };
    control::serve(socket, greeting, answer, stop).await;
}

/// Who is asked.
struct Desk {
    inspector: Inspector,
    health: Arc<Health>,
    /// Names, by their ids.
    uplinks: Vec<String>,
    max_bytes: u64,
}

impl Desk {
    async fn answer(&self, asked: Value) -> Answers {
        let answered = match serde_json::from_value(asked) {
            Ok(Ask::BufferStatus {}) => self.status().await,
            Ok(Ask::BufferCopy { generation }) => self.copy(&generation).await,
            Ok(Ask::BufferSetAside { generation, reason }) => {
                self.set_aside(&generation, reason).await
            }
            Ok(Ask::ParkedChange { uplink, change }) => self.change_parked(uplink, change).await,
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
        for (uplink, cells) in status.uplinks.iter_mut().zip(&self.health.uplinks) {
            let state = cells.destination.other_than(&DestinationState::default());
            uplink.paused = state.and_then(|state| state.paused);
        }
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
