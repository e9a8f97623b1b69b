//! Which store a command is about, who has it open, and copies of its generations: from the running gateway, else made here
//! under the store's lock. Asked anew for each copy, so that a gateway may start or stop in between.

use super::super::control::{ControlError, Conversation};
use super::super::{Exit, Failure, load_settings};
use crate::buffer::inspect::{
    Copied, CopyError, Held, Name, Opened, ShutError, ShutStore, Trouble, copies_path,
    copy_generation,
};
use crate::gateway::control::{self, Ask, CopyMade};
use crate::observe::control::{Code, Greeting};
use crate::settings::Plant;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `buffer.path` where nothing else is said.
const DEFAULT: &str = "/var/lib/millgate";
/// Where the unit's control socket lies: for members of the group, who cannot enter the store.
const UNITS_SOCKET: &str = "/run/millgate/control.sock";
/// Another command holds the lock for the time of a copy.
const LOCK_WITHIN: Duration = Duration::from_secs(3);
const LOCK_EVERY: Duration = Duration::from_millis(50);

/// The arguments that say which store.
#[derive(Clone, Debug, clap::Args)]
pub(in crate::commands) struct Which {
    /// The directory that `buffer.path` names; /var/lib/millgate when left out.
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The settings file, instead of DIR.
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    config: Option<PathBuf>,
}

/// A store, and how to talk about it.
pub(in crate::commands) struct Site {
    /// `buffer.path`, absolute.
    pub(in crate::commands) path: PathBuf,
    /// The settings, where they were named.
    pub(in crate::commands) plant: Option<Plant>,
    sockets: Vec<PathBuf>,
}

/// Who has a store open.
pub(in crate::commands) enum Gateway {
    /// A gateway that answers.
    Runs(Box<Conversation>),
    /// Nobody; nor can anybody while this is held.
    Away(Held),
    /// Somebody who does not answer.
    Deaf,
}

/// A copy, as long as it is needed.
pub(in crate::commands) struct Copy {
    path: PathBuf,
    _ours: Option<Copied>,
    _theirs: Option<Box<Conversation>>,
}

/// An open copy. Closed before it is removed.
pub(in crate::commands) struct Reading {
    /// Its records.
    pub(in crate::commands) opened: Opened,
    _copy: Copy,
}

impl Which {
    /// The store of a settings file.
    pub(in crate::commands) fn of(config: &Path) -> Which {
        Which {
            dir: None,
            config: Some(config.to_owned()),
        }
    }

    /// The store in this directory.
    #[cfg(test)]
    pub(super) fn at(path: &Path) -> Which {
        Which {
            dir: Some(path.to_owned()),
            config: None,
        }
    }

    /// Finds the place; the store need not be there.
    pub(in crate::commands) fn site(&self) -> Result<Site, Failure> {
        let plant = match &self.config {
            Some(config) => Some(load_settings(config)?.plant),
            None => None,
        };
        let path = match (&plant, &self.dir) {
            (Some(plant), _) => plant.buffer.path.clone(),
            (None, Some(dir)) => dir.clone(),
            (None, None) => PathBuf::from(DEFAULT),
        };
        let path = std::path::absolute(&path).map_err(|error| Failure::new(Exit::Io, error))?;
        let mut sockets = Vec::new();
        if let Some(plant) = &plant {
            sockets.push(control::place(plant).socket);
        }
        sockets.push(path.join("control.sock"));
        sockets.push(PathBuf::from(UNITS_SOCKET));
        Ok(Site {
            path,
            plant,
            sockets,
        })
    }
}

impl Site {
    /// The gateway that has this store open, if one answers.
    pub(in crate::commands) fn running(&self) -> Result<Option<Box<Conversation>>, Failure> {
        let mut refused = None;
        for socket in &self.sockets {
            match Conversation::begin(socket) {
                Ok(Some(found)) if self.is_ours(&found.greeting) => {
                    return Ok(Some(Box::new(found)));
                }
                Ok(_) => {}
                // The unit's own may be of another gateway, which is nobody's business here.
                Err(_) if socket == Path::new(UNITS_SOCKET) => {}
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(None), |error| Err(no_answer(error)))
    }

    fn is_ours(&self, greeting: &Greeting) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        real(&greeting.store) == real(&self.path)
    }

    /// Who has it open.
    pub(in crate::commands) fn gateway(&self, store: &ShutStore) -> Result<Gateway, Failure> {
        let until = Instant::now() + LOCK_WITHIN;
        loop {
            if let Some(conversation) = self.running()? {
                return Ok(Gateway::Runs(conversation));
            }
            if let Some(held) = store.lock().map_err(failure)? {
                return Ok(Gateway::Away(held));
            }
            if Instant::now() >= until {
                return Ok(Gateway::Deaf);
            }
            std::thread::sleep(LOCK_EVERY);
        }
    }

    /// The store on the disk.
    pub(in crate::commands) fn store(&self) -> Result<ShutStore, Failure> {
        ShutStore::find(&self.path).map_err(failure)
    }

    /// Asks the gateway that has this store; one answer.
    pub(in crate::commands) fn ask<T: DeserializeOwned>(
        &self,
        conversation: &mut Conversation,
        question: &Ask,
    ) -> Result<T, Failure> {
        let answers = conversation.ask(question).map_err(no_answer)?;
        let first = answers.into_iter().next().unwrap_or_default();
        serde_json::from_value(first).map_err(|error| {
            let context = anyhow::anyhow!("the gateway's answer makes no sense: {error}");
            Failure::new(Exit::Unavailable, context)
        })
    }

    /// A copy of a generation; `None` when it is not there any more.
    fn copy(&self, store: &ShutStore, name: Name) -> Result<Option<Copy>, Failure> {
        match self.gateway(store)? {
            Gateway::Runs(mut conversation) => {
                let question = Ask::BufferCopy {
                    generation: name.to_string(),
                };
                let answers = match conversation.ask(&question) {
                    Err(ControlError::Refused(refusal)) if refusal.code == Code::Gone => {
                        return Ok(None);
                    }
                    result => result.map_err(no_answer)?,
                };
                let made = answers.into_iter().next().unwrap_or_default();
                let made: CopyMade = serde_json::from_value(made)
                    .map_err(|error| Failure::new(Exit::Unavailable, error))?;
                Ok(Some(Copy {
                    path: made.path,
                    _ours: None,
                    _theirs: Some(conversation),
                }))
            }
            Gateway::Away(held) => {
                let copied = self.copy_here(name);
                drop(held);
                Ok(copied?.map(|copied| Copy {
                    path: copied.path().to_owned(),
                    _ours: Some(copied),
                    _theirs: None,
                }))
            }
            Gateway::Deaf => Err(deaf(&self.path)),
        }
    }

    /// Beside the store; where nothing can be written there, in the directory for temporary files.
    fn copy_here(&self, name: Name) -> Result<Option<Copied>, Failure> {
        let beside = copies_path(&self.path);
        let elsewhere =
            std::env::temp_dir().join(format!("millgate-copies-{}", std::process::id()));
        let copied = match copy_generation(&self.path, name, &beside) {
            Err(CopyError::NoRoom { .. }) => copy_generation(&self.path, name, &elsewhere),
            Err(CopyError::Io { path, .. }) if path.starts_with(&beside) => {
                copy_generation(&self.path, name, &elsewhere)
            }
            result => result,
        };
        match copied {
            Ok(copied) => Ok(Some(copied)),
            Err(CopyError::Gone(_)) => Ok(None),
            Err(error @ CopyError::NoRoom { .. }) => Err(Failure::new(
                Exit::Io,
                anyhow::anyhow!("{error}: make room, or set TMPDIR to a directory with room"),
            )),
            Err(CopyError::Io { path, source }) => Err(failure(ShutError::io(&path, source))),
        }
    }

    /// An open copy of a generation; `None` when it is not there any more. The inner error says why it does not open.
    pub(in crate::commands) fn open(
        &self,
        store: &ShutStore,
        name: Name,
    ) -> Result<Option<Result<Reading, Trouble>>, Failure> {
        let Some(copy) = self.copy(store, name)? else {
            return Ok(None);
        };
        Ok(Some(Opened::open(&copy.path, name.first).map(|opened| {
            Reading {
                opened,
                _copy: copy,
            }
        })))
    }
}

/// A store that somebody has who does not answer.
pub(in crate::commands) fn deaf(path: &Path) -> Failure {
    Failure::new(
        Exit::Unavailable,
        anyhow::anyhow!(
            "{} is in use, and no control socket answers for it: the log of the gateway says why it has none. Restart the \
             gateway (`systemctl restart millgate`), which makes it anew, or stop the gateway and try again",
            path.display()
        ),
    )
}

/// The exit code of what keeps a command from looking.
pub(in crate::commands) fn failure(error: ShutError) -> Failure {
    let exit = match &error {
        ShutError::NoStore(_) | ShutError::NoPermission(_) => Exit::NoInput,
        ShutError::Copy(_) | ShutError::Misplaced { .. } | ShutError::Io { .. } => Exit::Io,
    };
    Failure::new(exit, error)
}

fn no_answer(error: ControlError) -> Failure {
    let exit = match &error {
        ControlError::NoPermission(_) => Exit::NoInput,
        ControlError::Refused(refusal) if matches!(refusal.code, Code::NoRoom | Code::Io) => {
            Exit::Io
        }
        _ => Exit::Unavailable,
    };
    Failure::new(exit, error)
}
