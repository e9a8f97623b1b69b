//! The control socket: how commands talk to the running gateway. One request for each connection, as a line of JSON; answers
//! line by line until a last one.
//!
//! Here are the words of the conversation; `socket` makes the socket, `serve` holds the conversations. What the answers
//! are, the gateway knows: it hands in a function. `commands/control` is the other end.

mod serve;
mod socket;

pub use serve::{Answers, serve};
pub use socket::{Place, Socket, SocketError, place};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// Version of the conversation. A command of another release that knows only another one says so and ends.
pub const PROTOCOL: u32 = 1;
/// Longest request, with its line break.
pub const MAX_REQUEST: usize = 8 << 10;
/// Longest line that is answered: a status with 64 uplinks, and 100 generations by name.
pub const MAX_LINE: usize = 256 << 10;

/// The first line of each conversation, said by the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Release of the gateway.
    pub millgate: String,
    /// [`PROTOCOL`] of the gateway.
    pub protocol: u32,
    /// `gateway.id`.
    pub gateway: String,
    /// Its process.
    pub pid: u32,
    /// `buffer.path`, so that a command notices when it talks to the gateway of another store.
    pub store: PathBuf,
}

/// Every later line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A part of the answer.
    Answer(Value),
    /// That was all.
    End,
    /// It cannot be answered; nothing follows.
    Refused(Refusal),
}

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people: what to do.
    pub message: String,
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The request is none that this release knows.
    Unknown,
    /// Too many conversations at once.
    Busy,
    /// The request was too long, too slow or no JSON.
    Malformed,
    /// What was asked for is not there, or not any more.
    Gone,
    /// There is no room for it.
    NoRoom,
    /// It would do harm.
    NotNow,
    /// The disk or the system refused.
    Io,
}

impl Refusal {
    /// With its words.
    pub fn new(code: Code, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            message: message.into(),
        }
    }
}
