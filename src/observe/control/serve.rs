//! Holds the conversations on the control socket, a few at a time, in one task of the gateway. Each limit is there for a
//! peer that is stuck or has gone mad: it costs a place and some seconds, never memory, and never the gateway's time.

use super::{Code, Greeting, Line, MAX_LINE, MAX_REQUEST, Refusal, Socket};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use std::any::Any;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Conversations at a time: people and their scripts, not a service.
const MAX_CONVERSATIONS: usize = 8;
/// A request must have come by then.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// A line of the answer must have been taken by then.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Longest time that something is held for a peer: whoever exports a generation to a slow place.
const HELD_FOR: Duration = Duration::from_secs(3_600);
/// After an error of the socket itself.
const PAUSE: Duration = Duration::from_secs(1);

/// What a request is answered with.
#[derive(Default)]
pub struct Answers {
    /// The answers, each at most [`MAX_LINE`] as JSON.
    pub lines: Vec<Value>,
    /// Said last, instead of the end.
    pub refused: Option<Refusal>,
    /// Held until the peer goes away: a copy that is removed then.
    pub held: Option<Box<dyn Any + Send>>,
}

impl Answers {
    /// One answer.
    #[must_use]
    pub fn one(answer: Value) -> Answers {
        Answers {
            lines: vec![answer],
            ..Answers::default()
        }
    }

    /// None, and why.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Answers {
        Answers {
            refused: Some(refusal),
            ..Answers::default()
        }
    }
}

/// Greets, hears, answers, until `stop`. Dropping it ends all conversations and removes the socket.
pub async fn serve<A>(
    socket: Socket,
    greeting: Greeting,
    answer: impl Fn(Value) -> A,
    stop: CancellationToken,
) where
    A: Future<Output = Answers>,
{
    let mut conversations = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(()) = conversations.next() => {}
            // Whoever is turned away takes a place, too, until it is told; beyond twice the places the kernel lets wait.
            accepted = socket.accept(), if conversations.len() < 2 * MAX_CONVERSATIONS => match accepted {
                Ok(stream) => {
                    let is_full = conversations.len() >= MAX_CONVERSATIONS;
                    conversations.push(held_with(stream, &greeting, &answer, is_full));
                }
                Err(error) => {
                    tracing::warn!(socket = %socket.path().display(), %error, "the control socket fails");
                    sleep(PAUSE).await;
                }
            },
        }
    }
}

/// One conversation. That a peer breaks it off is its own business.
async fn held_with<A>(
    stream: UnixStream,
    greeting: &Greeting,
    answer: &impl Fn(Value) -> A,
    is_full: bool,
) where
    A: Future<Output = Answers>,
{
    if let Err(error) = conversation(stream, greeting, answer, is_full).await {
        tracing::debug!(%error, "a conversation on the control socket ended early");
    }
}

async fn conversation<A>(
    stream: UnixStream,
    greeting: &Greeting,
    answer: &impl Fn(Value) -> A,
    is_full: bool,
) -> io::Result<()>
where
    A: Future<Output = Answers>,
{
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::new(from);
    say(&mut to, &serde_json::to_value(greeting)?).await?;
    if is_full {
        let message = format!(
            "{MAX_CONVERSATIONS} commands talk to the gateway already: try again when one of them has ended"
        );
        return say(
            &mut to,
            &line(Line::Refused(Refusal::new(Code::Busy, message)))?,
        )
        .await;
    }
    let asked = match timeout(REQUEST_WITHIN, request(&mut from)).await {
        Ok(heard) => heard?,
        Err(_) => Err(format!("no request within {} s", REQUEST_WITHIN.as_secs())),
    };
    let answers = match asked {
        Ok(None) => return Ok(()),
        Ok(Some(asked)) => answer(asked).await,
        Err(why) => Answers::refused(Refusal::new(Code::Malformed, why)),
    };
    for one in answers.lines {
        say(&mut to, &line(Line::Answer(one))?).await?;
    }
    let last = answers.refused.map_or(Line::End, Line::Refused);
    say(&mut to, &line(last)?).await?;
    if answers.held.is_some() {
        // Until the peer goes away, or says anything: there is nothing more to say.
        timeout(HELD_FOR, from.read_u8()).await.ok();
    }
    Ok(())
}

fn line(line: Line) -> io::Result<Value> {
    Ok(serde_json::to_value(line)?)
}

/// The request; `None` when the peer went away without one. The inner error says what is wrong with it.
async fn request(
    from: &mut (impl AsyncBufReadExt + Unpin),
) -> io::Result<Result<Option<Value>, String>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_REQUEST).unwrap_or(u64::MAX);
    from.take(limit).read_until(b'\n', &mut bytes).await?;
    if bytes.is_empty() {
        return Ok(Ok(None));
    }
    if bytes.last() != Some(&b'\n') {
        return Ok(Err(format!(
            "the request has no line break within {MAX_REQUEST} bytes"
        )));
    }
    let parsed = serde_json::from_slice(&bytes);
    Ok(parsed.map_err(|error| format!("the request is no JSON: {error}")))
}

async fn say(to: &mut (impl AsyncWriteExt + Unpin), value: &Value) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(value)?;
    if bytes.len() >= MAX_LINE {
        return Err(io::Error::other("an answer is longer than a line may be"));
    }
    bytes.push(b'\n');
    timeout(TAKEN_WITHIN, to.write_all(&bytes)).await?
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
