//! The commands' end of the control socket: see `observe/control` for the conversation, `gateway/control` for the questions.

use crate::gateway::control::Ask;
use crate::observe::control::{Greeting, Line, MAX_LINE, PROTOCOL, Refusal};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for a line: a gateway that copies a generation on a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most lines of an answer.
const MAX_LINES: usize = 1_000;

/// Why a running gateway does not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    /// The socket is there and not for this user.
    #[error(
        "{} may not be used by this user: run the command as root, or as a member of the gateway's group", .0.display()
    )]
    NoPermission(PathBuf),
    /// It does not say what it should.
    #[error("the gateway behind {path} does not answer as it should: {why}", path = path.display())]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Another release.
    #[error(
        "the gateway is Millgate {found} and talks another way than this command, which is {own}: use the command of the \
         gateway's release",
        own = env!("CARGO_PKG_VERSION")
    )]
    OtherRelease {
        /// Of the gateway.
        found: String,
    },
    /// It said no.
    #[error("the gateway refuses: {}", .0.message)]
    Refused(Refusal),
}

/// A conversation with a running gateway: for one question.
#[derive(Debug)]
pub(super) struct Conversation {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    /// What it said first.
    pub(super) greeting: Greeting,
}

impl Conversation {
    /// Begins one with whoever listens there; `None` when nobody does.
    ///
    /// # Errors
    /// [`ControlError`], and somebody does.
    pub(super) fn begin(path: &Path) -> Result<Option<Conversation>, ControlError> {
        use io::ErrorKind as Kind;
        let garbled = |error: io::Error| garbled(path, &error);
        let stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error) if error.kind() == Kind::PermissionDenied => {
                return Err(ControlError::NoPermission(path.to_owned()));
            }
            // Not there, a dead one, no socket at all, a path that no socket can have.
            Err(_) => return Ok(None),
        };
        stream.set_read_timeout(Some(PATIENCE)).map_err(garbled)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(garbled)?;
        let mut stream = BufReader::new(stream);
        let line = line(&mut stream).map_err(garbled)?;
        let greeting: Greeting =
            serde_json::from_str(&line).map_err(|error| garbled(error.into()))?;
        if greeting.protocol != PROTOCOL {
            let found = greeting.millgate;
            return Err(ControlError::OtherRelease { found });
        }
        Ok(Some(Conversation {
            path: path.to_owned(),
            stream,
            greeting,
        }))
    }

    /// Asks, and hears the answers. What the gateway holds for the question it holds until this is dropped.
    ///
    /// # Errors
    /// [`ControlError`]
    pub(super) fn ask(&mut self, question: &Ask) -> Result<Vec<Value>, ControlError> {
        self.talk(question)
            .map_err(|error| garbled(&self.path, &error))?
            .map_err(ControlError::Refused)
    }

    fn talk(&mut self, question: &Ask) -> io::Result<Result<Vec<Value>, Refusal>> {
        let mut asked = serde_json::to_vec(question)?;
        asked.push(b'\n');
        // A gateway that turns us away does not wait for the question: its answer counts.
        let sent = self.stream.get_mut().write_all(&asked);
        let mut answers = Vec::new();
        while answers.len() < MAX_LINES {
            let line = match line(&mut self.stream) {
                Ok(line) => line,
                Err(error) => return Err(sent.err().unwrap_or(error)),
            };
            match serde_json::from_str(&line)? {
                Line::Answer(answer) => answers.push(answer),
                Line::End => return Ok(Ok(answers)),
                Line::Refused(refusal) => return Ok(Err(refusal)),
            }
        }
        Err(io::Error::other("it does not come to an end"))
    }
}

fn garbled(path: &Path, error: &io::Error) -> ControlError {
    ControlError::Garbled {
        path: path.to_owned(),
        why: error.to_string(),
    }
}

fn line(from: &mut BufReader<UnixStream>) -> io::Result<String> {
    let limit = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    let mut line = String::new();
    from.take(limit).read_line(&mut line)?;
    if line.ends_with('\n') {
        return Ok(line);
    }
    Err(io::Error::other("it hung up in mid-sentence"))
}
