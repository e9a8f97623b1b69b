//! Opens a serial port for one link: alone, raw, without flow control. Says plainly why it cannot.
//!
//! Called by the drivers that speak over a wire. It tries once: that it is tried again, also after an adapter was pulled, is
//! `link`'s business. A pulled adapter reads nothing (`Ok(0)`) or fails: both mean that the port is to be opened anew.

use super::driver::link_error;
use super::rs485::{self, NoDirection};
use crate::model::LinkError;
use crate::settings::SerialPort;
use crate::settings::shape::{Parity, Rs485};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tokio_serial::{
    ClearBuffer, DataBits, ErrorKind, FlowControl, SerialPort as _, SerialStream, StopBits,
};

/// How far a driver may be off the wanted speed: beyond that no character arrives whole.
const MAX_BAUD_ERROR_PERCENT: u32 = 3;

/// Opens the port as the settings have it, and throws away what lay in it.
///
/// Nobody else may open it meanwhile: the kernel refuses it to others (`TIOCEXCL`), and to root where it locks too.
///
/// # Errors
/// Why it cannot be used, with what to check: `denied` when it is a question of permission, `port` otherwise.
pub(crate) fn open(port: &SerialPort) -> Result<SerialStream, LinkError> {
    let stream = SerialStream::open(&builder(port)).map_err(|error| diagnose(port, &error))?;
    if let Some(wanted) = port.rs485 {
        switch(port, &stream, wanted)?;
    }
    if let Ok(baud) = stream.baud_rate()
        && baud.abs_diff(port.baud) > port.baud / 100 * MAX_BAUD_ERROR_PERCENT
    {
        let wanted = port.baud;
        let how = format!("it cannot do {wanted} bit/s and would do {baud}; check `baud`");
        return Err(trouble(port, &how));
    }
    // A port that tells no speed, or a driver that cannot drop what it has, is still a port.
    drop(stream.clear(ClearBuffer::Input));
    Ok(stream)
}

fn builder(port: &SerialPort) -> tokio_serial::SerialPortBuilder {
    let parity = match port.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let data_bits = if port.data_bits == 7 {
        DataBits::Seven
    } else {
        DataBits::Eight
    };
    let stop_bits = if port.stop_bits == 2 {
        StopBits::Two
    } else {
        StopBits::One
    };
    tokio_serial::new(port.path.to_string_lossy(), port.baud)
        .parity(parity)
        .data_bits(data_bits)
        .stop_bits(stop_bits)
        .flow_control(FlowControl::None)
        .exclusive(true)
}

fn switch(port: &SerialPort, stream: &SerialStream, wanted: Rs485) -> Result<(), LinkError> {
    rs485::switch(stream, wanted).map_err(|why| match why {
        NoDirection::Unknown => trouble(
            port,
            "this port cannot switch direction; leave `rs485` out if the adapter does it itself",
        ),
        NoDirection::NotSo(what) => trouble(port, &format!("its driver does not do {what}")),
        NoDirection::Failed(error) => trouble(port, &format!("switching direction: {error}")),
    })
}

/// The library knows few causes: the plain call that opens a file says the exact one.
fn diagnose(port: &SerialPort, error: &tokio_serial::Error) -> LinkError {
    if error.kind() == ErrorKind::NoDevice {
        return trouble(port, BUSY);
    }
    let plain = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(&port.path);
    match plain {
        Ok(file) if !file.is_terminal() => trouble(
            port,
            "this is no serial port; check the path, `ls /dev/serial/by-path` lists those of USB adapters",
        ),
        Ok(_) => trouble(
            port,
            &format!("{error}; check baud, parity and the adapter"),
        ),
        Err(error) => refused(&port.path, &error),
    }
}

const BUSY: &str =
    "another program has it; is a second gateway, a modem manager or a getty on this port?";

/// Why a file of `/dev` cannot be opened.
fn refused(path: &Path, error: &io::Error) -> LinkError {
    let path = path.display();
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::NotFound, _) => link_error(
            "port",
            format!(
                "{path}: there is no such port; is the adapter plugged in? `ls /dev/serial/by-path` lists those of USB adapters"
            ),
        ),
        (io::ErrorKind::PermissionDenied, _) => link_error(
            "denied",
            format!(
                "{path}: no permission; the gateway's user must be in the group that owns the port, mostly `dialout`"
            ),
        ),
        (io::ErrorKind::ResourceBusy, _) => link_error("port", format!("{path}: {BUSY}")),
        (_, Some(libc::ENXIO | libc::ENODEV | libc::EIO)) => link_error(
            "port",
            format!(
                "{path}: there is nothing behind this port ({error}); is the adapter plugged in?"
            ),
        ),
        _ => link_error("port", format!("{path}: {error}; check the path")),
    }
}

fn trouble(port: &SerialPort, how: &str) -> LinkError {
    link_error("port", format!("{}: {how}", port.path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn port(path: &Path) -> SerialPort {
        SerialPort {
            path: path.to_owned(),
            baud: 19_200,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: 2,
            rs485: None,
        }
    }

    /// A pty: its other end, and the path of the port.
    fn pty() -> (File, std::path::PathBuf) {
        let pair = nix::pty::openpty(None, None).unwrap();
        let path = nix::unistd::ttyname(pair.slave.as_fd()).unwrap();
        (File::from(pair.master), path)
    }

    fn says(port: &SerialPort, code: &str, words: &str) {
        let error = open(port).expect_err("it cannot be opened");
        assert_eq!(error.code, code, "{error}");
        assert!(error.detail.contains(words), "{error}");
        assert!(
            error.detail.contains(port.path.to_str().unwrap()),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_pty_passes_every_byte_as_it_is() {
        let (mut master, path) = pty();
        let mut stream = open(&port(&path)).unwrap();
        let bytes: Vec<u8> = (0..=255).collect();
        io::Write::write_all(&mut master, &bytes).unwrap();
        let mut read = vec![0; 256];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(read, bytes);
        stream.write_all(&bytes).await.unwrap();
        io::Read::read_exact(&mut master, &mut read).unwrap();
        assert_eq!(read, bytes);
    }

    #[tokio::test]
    async fn what_lay_in_the_port_is_old() {
        let (mut master, path) = pty();
        let _kept_open = File::open(&path).unwrap();
        io::Write::write_all(&mut master, b"old\n").unwrap();
        let mut stream = open(&port(&path)).unwrap();
        io::Write::write_all(&mut master, b"new\n").unwrap();
        let mut read = [0; 4];
        stream.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"new\n");
    }

    #[tokio::test]
    async fn a_port_is_for_one_alone_and_free_again_afterwards() {
        let (_master, path) = pty();
        let first = open(&port(&path)).unwrap();
        says(&port(&path), "port", "another program has it");
        drop(first);
        open(&port(&path)).unwrap();
    }

    #[tokio::test]
    async fn each_cause_is_said_with_what_to_check() {
        says(
            &port(Path::new("/dev/millgate-none")),
            "port",
            "is the adapter plugged in?",
        );
        says(
            &port(Path::new("/dev/null")),
            "port",
            "this is no serial port",
        );
        says(&port(Path::new("/dev/shm")), "port", "check the path");
        let denied = refused(Path::new("/dev/x"), &io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.code, "denied");
        assert!(denied.detail.contains("`dialout`"), "{denied}");
        for errno in [libc::ENXIO, libc::EIO, libc::ENODEV] {
            let nothing = refused(Path::new("/dev/x"), &io::Error::from_raw_os_error(errno));
            assert!(
                nothing.detail.contains("nothing behind this port"),
                "{nothing}"
            );
        }
        let busy = refused(
            Path::new("/dev/x"),
            &io::Error::from_raw_os_error(libc::EBUSY),
        );
        assert!(busy.detail.contains("another program has it"), "{busy}");
    }

    #[tokio::test]
    async fn a_direction_that_the_port_cannot_switch_is_said() {
        let (_master, path) = pty();
        let port = SerialPort {
            rs485: Some(Rs485::default()),
            ..port(&path)
        };
        says(
            &port,
            "port",
            "leave `rs485` out if the adapter does it itself",
        );
        assert!(
            open(&SerialPort {
                rs485: None,
                ..port
            })
            .is_ok()
        );
    }

    #[tokio::test]
    async fn a_port_whose_other_end_is_gone_ends() {
        let (master, path) = pty();
        let mut stream = open(&port(&path)).unwrap();
        drop(master);
        let mut byte = [0];
        let read = stream.read(&mut byte).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}
