//! Devices that send lines, played by the tests: on a pty with a path of its own, and on TCP.

use crate::modbus::cell::Cell;
use millgate::model::{Content, Value};
use nix::fcntl::{FcntlArg, OFlag};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A place for ports that are plugged and unplugged; below `/dev`, as the settings want it.
pub(super) struct Socket {
    folder: TempDir,
}

/// An adapter in a socket: what the device writes and reads. Unplugged when its value ends.
pub(super) struct Plugged {
    device: File,
    /// Came, but not a whole request yet.
    heard: Vec<u8>,
    /// Keeps the port open: else what is written before the gateway opens it is refused.
    _port: OwnedFd,
    link: PathBuf,
}

impl Socket {
    pub(super) fn new() -> Socket {
        Socket {
            folder: tempfile::tempdir_in("/dev/shm").unwrap(),
        }
    }

    /// The path of the port, whether something is plugged in or not.
    pub(super) fn port(&self) -> PathBuf {
        self.folder.path().join("port")
    }

    pub(super) fn plug(&self) -> Plugged {
        let pty = nix::pty::openpty(None, None).unwrap();
        let path = nix::unistd::ttyname(pty.slave.as_fd()).unwrap();
        let flags = FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
        nix::fcntl::fcntl(&pty.master, flags).unwrap();
        let link = self.port();
        std::os::unix::fs::symlink(path, &link).unwrap();
        Plugged {
            device: pty.master.into(),
            heard: Vec::new(),
            _port: pty.slave,
            link,
        }
    }
}

impl Plugged {
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let mut sent = 0;
        while sent < bytes.len() {
            sent += patiently(|| self.device.write(&bytes[sent..])).await;
        }
    }

    /// Waits for this request. Cancel-safe.
    pub(super) async fn expect(&mut self, request: &[u8]) {
        while self.heard.len() < request.len() {
            let mut byte = [0];
            patiently(|| self.device.read(&mut byte)).await;
            self.heard.push(byte[0]);
        }
        assert_eq!(std::mem::take(&mut self.heard), request);
    }

    /// Gives this answer to each request until that has come of it: the first one may be late on a busy machine.
    pub(super) async fn answer<T>(
        &mut self,
        request: &[u8],
        answer: &[&[u8]],
        outcome: impl Future<Output = T>,
    ) -> T {
        let answering = async {
            loop {
                self.expect(request).await;
                for piece in answer {
                    self.send(piece).await;
                }
            }
        };
        tokio::select! {
            outcome = outcome => outcome,
            () = answering => unreachable!(),
        }
    }

    /// The port itself, beside the path to it.
    pub(super) fn target(&self) -> PathBuf {
        std::fs::read_link(&self.link).unwrap()
    }
}

/// Tries until the pty takes or has something: a minute at most.
async fn patiently(mut attempt: impl FnMut() -> std::io::Result<usize>) -> usize {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match attempt() {
            Ok(count) => return count,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        assert!(Instant::now() < deadline, "the pty is stuck");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.link));
    }
}

/// The block below `devices:` of a device `d` that is reached at `way`, with more keys of `lines:` and these tags.
pub(super) fn device(way: &str, lines: &str, tags: &str) -> String {
    // A request each second that is waited for as long: by then its silence has a reason.
    let lost_after = if lines.contains("every: 1s") {
        "5s"
    } else {
        "300ms"
    };
    format!(
        "  d:\n    lines: {{ {way}{lines} }}\n    lost_after: {lost_after}\n    tags: {{ {tags} }}\n"
    )
}

pub(super) fn serial(port: &Path) -> String {
    format!("serial: {}", port.display())
}

pub(super) fn tcp(port: u16) -> String {
    format!("tcp: \"127.0.0.1:{port}\"")
}

/// The connection is there: the first thing that a device says that speaks unasked.
pub(super) async fn there(cell: &mut Cell) {
    cell.until(
        "d",
        "there is no connection",
        |_, _| {},
        |content| matches!(content, Content::Samples(samples) if samples.is_empty()),
    )
    .await;
}

/// The next good text or number of the device, as a text. Losses on the way are passed over.
pub(super) async fn next_value(cell: &mut Cell) -> String {
    let mut value = None;
    cell.until(
        "d",
        "no value comes",
        |_, _| {},
        |content| {
            let Content::Samples(samples) = content else {
                return false;
            };
            value = samples.iter().find_map(|sample| match sample.usable()? {
                Value::Text(text) => Some(text.to_string()),
                Value::Float(number) => Some(number.to_string()),
                _ => None,
            });
            value.is_some()
        },
    )
    .await;
    value.unwrap()
}

/// The words of the next loss.
pub(super) async fn lost(cell: &mut Cell) -> (&'static str, String) {
    let content = cell
        .until(
            "d",
            "the device is not lost",
            |_, _| {},
            |content| matches!(content, Content::Lost(_)),
        )
        .await;
    match content {
        Content::Lost(error) => (error.code, error.detail),
        Content::Samples(_) => unreachable!("a loss was waited for"),
    }
}
