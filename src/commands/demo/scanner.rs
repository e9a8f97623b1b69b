//! A barcode scanner on a pseudo-terminal: reads the part that lies in the press just before its stroke, and, when the
//! press stands for a fault that somebody has found, the code of the reason.
//!
//! The gateway opens the other end by its path, as it would open a USB scanner. What nobody takes is lost, as with a real one.

use super::server::SharedPress;
use anyhow::Context;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::ttyname;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::interval;

/// How often the scanner looks for a part.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The scanner and its cable.
pub(super) struct Scanner {
    writes: File,
    /// Held open, so that the terminal stays as it was set while the gateway comes and goes.
    _cable: OwnedFd,
    path: PathBuf,
    press: SharedPress,
}

impl Scanner {
    /// A scanner at this press.
    ///
    /// # Errors
    /// When the system has no pseudo-terminal to give.
    pub(super) fn plug_in(press: SharedPress) -> anyhow::Result<Scanner> {
        let none = "no pseudo-terminal for the demo's scanner; is /dev/pts there?";
        let pair = openpty(None, None).context(none)?;
        let path = ttyname(&pair.slave).context(none)?;
        let mut raw = tcgetattr(&pair.slave).context(none)?;
        cfmakeraw(&mut raw);
        tcsetattr(&pair.slave, SetArg::TCSANOW, &raw).context(none)?;
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context(none)?;
        Ok(Scanner {
            writes: pair.master.into(),
            _cable: pair.slave,
            path,
            press,
        })
    }

    /// Where the gateway finds it: `/dev/pts/7`.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads each part once, and the reason of each second fault.
    ///
    /// # Errors
    /// When the pseudo-terminal breaks.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let mut look = interval(LOOK_EVERY);
        let mut last = None;
        let mut explained = 0;
        loop {
            look.tick().await;
            let found = self.press.cause_found().filter(|fault| *fault > explained);
            if let Some(fault) = found {
                explained = fault;
                if fault % 2 == 1 {
                    self.send(REASON)?;
                }
            }
            let part = self.press.next_part().filter(|part| last != Some(*part));
            if let Some(part) = part {
                last = Some(part);
                self.send(&code(part))?;
            }
        }
    }

    fn send(&mut self, code: &str) -> io::Result<()> {
        match self.writes.write_all(format!("{code}\r\n").as_bytes()) {
            // Nobody has taken what was scanned before.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            sent => sent,
        }
    }
}

/// What somebody finds in the die: the code on the board beside the press.
const REASON: &str = "RSN-SLUG";

/// What stands on a part.
pub(super) fn code(part: u64) -> String {
    format!("SN-{part:07}")
}

#[cfg(test)]
mod tests {
    use super::super::press::Press;
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_scanned_comes_out_of_the_other_end_as_it_is() {
        let mut scanner = Scanner::plug_in(SharedPress::new(Press::new(1))).unwrap();
        let mut port = File::open(scanner.path()).unwrap();
        scanner.send(&code(17)).unwrap();
        let mut read = [0; 12];
        port.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"SN-0000017\r\n");
    }

    #[test]
    fn a_scanner_that_nobody_reads_holds_nothing_up() {
        let mut scanner = Scanner::plug_in(SharedPress::new(Press::new(1))).unwrap();
        for part in 0..20_000 {
            scanner.send(&code(part)).unwrap();
        }
    }
}
