//! A serial line without hardware: two ptys and what passes the bytes between them, in whatever pieces.

use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// A line with two ends; both are held open here, so that either side may come and go.
pub(super) struct Line {
    /// The port of the gateway.
    pub(super) ours: PathBuf,
    /// The port of the device.
    pub(super) theirs: PathBuf,
    _held: [OwnedFd; 2],
}

impl Line {
    /// A line that passes the bytes on in pieces of at most so many.
    pub(super) fn new(piece: usize) -> Line {
        let (one, other) = (openpty(None, None).unwrap(), openpty(None, None).unwrap());
        for slave in [&one.slave, &other.slave] {
            let mut mode = tcgetattr(slave).unwrap();
            cfmakeraw(&mut mode);
            tcsetattr(slave, SetArg::TCSANOW, &mode).unwrap();
        }
        let path = |slave: &OwnedFd| nix::unistd::ttyname(slave.as_fd()).unwrap();
        let line = Line {
            ours: path(&one.slave),
            theirs: path(&other.slave),
            _held: [one.slave, other.slave],
        };
        let (one, other) = (File::from(one.master), File::from(other.master));
        pass(one.try_clone().unwrap(), other.try_clone().unwrap(), piece);
        pass(other, one, piece);
        line
    }
}

/// Passes bytes on until the line is gone.
fn pass(mut from: File, mut to: File, piece: usize) {
    std::thread::spawn(move || {
        let mut bytes = [0; 256];
        while let Ok(count) = from.read(&mut bytes) {
            if count == 0
                || bytes[..count]
                    .chunks(piece)
                    .any(|part| to.write_all(part).is_err())
            {
                return;
            }
        }
    });
}
