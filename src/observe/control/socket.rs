//! Where the control socket lies, and how it is made: for owner and group only from its first moment on, in place of one
//! that a dead gateway left behind, never in place of a living one.

use crate::settings::MAX_SOCKET_PATH;
use socket2::{Domain, SockAddr, Socket as RawSocket, Type};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// Its name where the settings do not say another.
const NAME: &str = "control.sock";
/// Owner and group.
const MODE: u32 = 0o660;
/// Conversations that may wait to be taken up.
const BACKLOG: i32 = 8;

/// Why there is no control socket. The gateway works without one; commands do not.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Longer than the kernel takes.
    #[error(
        "{path} has {length} bytes, and the path of a socket has at most {MAX_SOCKET_PATH}: set `control: {{ socket: PATH }}` to a \
         shorter one",
        path = path.display(),
        length = path.as_os_str().len()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// A living process listens there.
    #[error(
        "another process listens on {path}: two gateways need a `control: {{ socket: PATH }}` each",
        path = .0.display()
    )]
    Taken(PathBuf),
    /// Something else has the name.
    #[error("{path} is there and is no socket: move it away", path = .0.display())]
    NoSocket(PathBuf),
    /// The system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Where the socket lies, and where commands look for it that know `buffer.path` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The socket.
    pub socket: PathBuf,
    /// A link that leads to it; `None` where the socket itself lies there.
    pub link: Option<PathBuf>,
}

/// The place by the settings, else by the service manager's directory, else in `buffer.path`. `runtime_directory` is the
/// environment's `RUNTIME_DIRECTORY`: several paths with colons between them, of which the first counts.
#[must_use]
pub fn place(settings: Option<&Path>, runtime_directory: Option<&str>, buffer: &Path) -> Place {
    let first = runtime_directory.and_then(|all| all.split(':').next());
    let beside = buffer.join(NAME);
    let socket = match (settings, first.filter(|path| path.starts_with('/'))) {
        (Some(path), _) => path.to_owned(),
        (None, Some(directory)) => Path::new(directory).join(NAME),
        (None, None) => beside.clone(),
    };
    let link = (socket != beside).then_some(beside);
    Place { socket, link }
}

/// A socket that is listened on. Its name and its link go with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    place: Place,
    /// Device and inode: what has the name later may be another one's.
    identity: (u64, u64),
    /// Held as long as the socket is: who gets it knows that what has the name is dead.
    _lock: File,
}

impl Socket {
    /// Listens. Must be called inside a runtime.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn listen(place: Place) -> Result<Socket, SocketError> {
        let path = place.socket.clone();
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(SocketError::TooLong { path });
        }
        let lock = lock(&path)?;
        clear_away(&path)?;
        let io = |source| SocketError::Io {
            path: path.clone(),
            source,
        };
        let listener = bound(&path).map_err(io)?;
        let identity = identity(&path).map_err(io)?;
        if let Some(link) = &place.link {
            // Only commands that are given a directory miss it: with `--config` they find the socket all the same.
            if let Err(error) = lead(link, &path) {
                tracing::warn!(link = %link.display(), %error, "no link to the control socket");
            }
        }
        Ok(Socket {
            listener,
            place,
            identity,
            _lock: lock,
        })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.place.socket
    }

    /// The next conversation. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<tokio::net::UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Place { socket, link } = &self.place;
        if identity(socket).is_ok_and(|now| now == self.identity) {
            fs::remove_file(socket).ok();
        }
        if let Some(link) = link
            && fs::read_link(link).is_ok_and(|to| to == *socket)
        {
            fs::remove_file(link).ok();
        }
    }
}

/// The lock beside the socket. It stays when the socket goes: a lock file that is removed locks nobody out.
fn lock(socket: &Path) -> Result<File, SocketError> {
    let mut name = socket.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let opened = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path);
    let file = opened.map_err(|source| SocketError::Io {
        path: path.clone(),
        source,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(SocketError::Taken(socket.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(SocketError::Io { path, source }),
    }
}

/// Removes what a dead process left. Nobody of ours listens there, since we have the lock; of others we ask.
fn clear_away(path: &Path) -> Result<(), SocketError> {
    let io = |source| SocketError::Io {
        path: path.to_owned(),
        source,
    };
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(io)?.file_type(),
    };
    if found.is_symlink() {
        // Of a time when the socket lay elsewhere.
        return fs::remove_file(path).map_err(io);
    }
    if !found.is_socket() {
        return Err(SocketError::NoSocket(path.to_owned()));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(SocketError::Taken(path.to_owned()));
    }
    fs::remove_file(path).map_err(io)
}

/// A socket that was bound takes nobody before it listens: that is when it gets its mode.
fn bound(path: &Path) -> io::Result<UnixListener> {
    let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket.into())
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Makes `link` lead to `to`. What has the name is replaced where it is a link or a dead socket, never a file.
fn lead(link: &Path, to: &Path) -> io::Result<()> {
    match fs::symlink_metadata(link).map(|it| it.file_type()) {
        Ok(kind) if kind.is_symlink() || kind.is_socket() => fs::remove_file(link)?,
        Ok(_) => return Err(io::Error::other("something else has its name")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    std::os::unix::fs::symlink(to, link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &Path) -> Place {
        Place {
            socket: path.to_owned(),
            link: None,
        }
    }

    #[test]
    fn the_settings_come_first_then_the_service_manager_then_the_store() {
        let buffer = Path::new("/var/lib/millgate");
        let beside = buffer.join("control.sock");
        for (settings, runtime, socket, linked) in [
            (Some("/run/a.sock"), Some("/run/m"), "/run/a.sock", true),
            (None, Some("/run/m"), "/run/m/control.sock", true),
            (None, Some("/run/m:/run/n"), "/run/m/control.sock", true),
            (None, Some(""), "/var/lib/millgate/control.sock", false),
            (None, None, "/var/lib/millgate/control.sock", false),
            (
                Some("/var/lib/millgate/control.sock"),
                None,
                "/var/lib/millgate/control.sock",
                false,
            ),
        ] {
            let found = place(settings.map(Path::new), runtime, buffer);
            assert_eq!(found.socket, Path::new(socket));
            assert_eq!(found.link, linked.then(|| beside.clone()));
        }
    }

    #[tokio::test]
    async fn it_is_for_owner_and_group_and_goes_with_its_gateway() {
        let home = tempfile::tempdir().unwrap();
        let (socket, link) = (home.path().join("c"), home.path().join("link"));
        let both = Place {
            socket: socket.clone(),
            link: Some(link.clone()),
        };
        let listening = Socket::listen(both).unwrap();
        let mode = fs::metadata(&socket).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(UnixStream::connect(&link).is_ok());
        drop(listening);
        assert!(!socket.exists() && fs::symlink_metadata(&link).is_err());
    }

    #[tokio::test]
    async fn a_dead_one_is_replaced_and_a_living_one_is_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("c");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "as a killed process leaves it");
        let ours = Socket::listen(at(&path)).unwrap();
        assert!(matches!(
            Socket::listen(at(&path)),
            Err(SocketError::Taken(_))
        ));
        drop(ours);
        let theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(
            Socket::listen(at(&path)),
            Err(SocketError::Taken(_))
        ));
        assert!(UnixStream::connect(&path).is_ok());
        drop(theirs);
    }

    #[tokio::test]
    async fn neither_a_file_nor_another_ones_socket_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("c");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(
            Socket::listen(at(&path)),
            Err(SocketError::NoSocket(_))
        ));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        fs::remove_file(&path).unwrap();
        let ours = Socket::listen(at(&path)).unwrap();
        fs::remove_file(&path).unwrap();
        let theirs = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(ours);
        assert!(UnixStream::connect(&path).is_ok());
        drop(theirs);
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_says_what_to_write() {
        let path = PathBuf::from(format!("/tmp/{}", "x".repeat(MAX_SOCKET_PATH)));
        let told = Socket::listen(at(&path)).unwrap_err().to_string();
        assert!(
            told.contains("112 bytes") && told.contains("control: { socket: PATH }"),
            "{told}"
        );
    }
}
