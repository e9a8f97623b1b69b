//! RS-485 direction by the kernel: `TIOCSRS485` and `TIOCGRS485` (`linux/serial.h`). Called by `serial` where the settings ask.
//!
//! The driver of the port switches RTS in its interrupt, which no program does in time. What it did not take over is said.
#![expect(
    unsafe_code,
    reason = "an ioctl has no safe wrapper; the struct is plain data of a fixed size that the kernel copies"
)]

use crate::settings::shape::{Rs485, Rts};
use std::io;
use std::os::fd::AsRawFd;

const ENABLED: u32 = 1 << 0;
const RTS_ON_SEND: u32 = 1 << 1;
const RTS_AFTER_SEND: u32 = 1 << 2;
const TERMINATE_BUS: u32 = 1 << 5;

/// `struct serial_rs485`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Direction {
    flags: u32,
    delay_before_ms: u32,
    delay_after_ms: u32,
    reserved: [u32; 5],
}

mod calls {
    use super::Direction;
    nix::ioctl_read_bad!(get, libc::TIOCGRS485, Direction);
    nix::ioctl_write_ptr_bad!(set, libc::TIOCSRS485, Direction);
}

/// Why the direction is not switched.
#[derive(Debug)]
pub(super) enum NoDirection {
    /// The driver of this port cannot do it at all.
    Unknown,
    /// It does it, but not so.
    NotSo(&'static str),
    /// It failed.
    Failed(io::Error),
}

/// Lets the kernel switch the direction, and reads back whether the driver does it as it was told.
pub(super) fn switch(port: &impl AsRawFd, wanted: Rs485) -> Result<(), NoDirection> {
    let wanted = direction(wanted);
    let mut kept = Direction::default();
    // SAFETY: the descriptor's owner is borrowed, so it is open; both structs have the size and layout that the kernel
    // copies, and live until the calls return.
    let done = unsafe {
        calls::set(port.as_raw_fd(), &raw const wanted)
            .and_then(|_| calls::get(port.as_raw_fd(), &raw mut kept))
    };
    match done {
        Ok(_) => refused(&wanted, &kept).map_or(Ok(()), |what| Err(NoDirection::NotSo(what))),
        Err(nix::errno::Errno::ENOTTY | nix::errno::Errno::EOPNOTSUPP) => Err(NoDirection::Unknown),
        Err(error) => Err(NoDirection::Failed(error.into())),
    }
}

/// As the kernel wants to be told. RTS goes back to its other level after sending.
fn direction(wanted: Rs485) -> Direction {
    let level = match wanted.rts {
        Rts::HighWhileSending => RTS_ON_SEND,
        Rts::LowWhileSending => RTS_AFTER_SEND,
    };
    let termination = if wanted.terminated { TERMINATE_BUS } else { 0 };
    let whole_ms = |period: crate::settings::Period| {
        let ms = period.get().as_micros().div_ceil(1_000);
        u32::try_from(ms).unwrap_or(u32::MAX)
    };
    Direction {
        flags: ENABLED | level | termination,
        delay_before_ms: whole_ms(wanted.delay_before),
        delay_after_ms: whole_ms(wanted.delay_after),
        reserved: [0; 5],
    }
}

/// Which key of the settings the driver did not take over. It may clear what its hardware cannot do without an error.
fn refused(wanted: &Direction, kept: &Direction) -> Option<&'static str> {
    let missing = wanted.flags & !kept.flags;
    let level = RTS_ON_SEND | RTS_AFTER_SEND;
    if missing & ENABLED != 0 {
        Some("any direction")
    } else if wanted.flags & level != kept.flags & level {
        Some("that level of RTS: try the other `rts:`")
    } else if missing & TERMINATE_BUS != 0 {
        Some("a switched termination: leave out `terminated` and plug a resistor")
    } else if wanted.delay_before_ms != kept.delay_before_ms {
        Some("this `delay_before`: leave it out or make it shorter")
    } else if wanted.delay_after_ms != kept.delay_after_ms {
        Some("this `delay_after`: leave it out or make it shorter")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Period;

    fn all() -> Rs485 {
        Rs485 {
            rts: Rts::LowWhileSending,
            delay_before: Period::from_millis(2),
            delay_after: Period::from_millis(3),
            terminated: true,
        }
    }

    #[test]
    fn the_struct_is_as_the_kernel_has_it() {
        assert_eq!(size_of::<Direction>(), 32);
        let high = direction(Rs485::default());
        assert_eq!(high.flags, 0b00_0011);
        let low = direction(all());
        assert_eq!(low.flags, 0b10_0101);
        assert_eq!((low.delay_before_ms, low.delay_after_ms), (2, 3));
    }

    #[test]
    fn what_a_driver_did_not_keep_is_named() {
        let wanted = direction(all());
        assert_eq!(refused(&wanted, &wanted), None);
        let check = |change: fn(&mut Direction), says: &str| {
            let mut kept = wanted;
            change(&mut kept);
            let said = refused(&wanted, &kept).unwrap();
            assert!(said.contains(says), "{said}");
        };
        check(|kept| kept.flags = 0, "any direction");
        check(|kept| kept.flags ^= RTS_ON_SEND | RTS_AFTER_SEND, "`rts:`");
        check(|kept| kept.flags &= !TERMINATE_BUS, "`terminated`");
        check(|kept| kept.delay_before_ms = 1, "`delay_before`");
        check(|kept| kept.delay_after_ms = 0, "`delay_after`");
    }

    #[test]
    fn a_port_without_a_direction_says_so() {
        let pty = nix::pty::openpty(None, None).unwrap();
        let said = switch(&pty.slave, all());
        assert!(matches!(said, Err(NoDirection::Unknown)), "{said:?}");
        let file = std::fs::File::open("/dev/null").unwrap();
        let said = switch(&file, all());
        assert!(matches!(said, Err(NoDirection::Unknown)), "{said:?}");
    }
}
