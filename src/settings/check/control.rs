//! Where the control socket lies: a path that the kernel takes for a socket.

use crate::settings::problem::{Problem, shown};
use crate::settings::report::Report;
use crate::settings::shape::{Buffer, Control, File};
use std::path::Path;

/// Longest path of a unix socket on Linux, in bytes (unix(7): 108 with the final zero).
pub const MAX_SOCKET_PATH: usize = 107;
/// The socket in `buffer.path`.
const BESIDE: &str = "control.sock";

/// Looks at the path that is written.
pub(super) fn check(control: &Control, report: &mut Report) {
    let Some(path) = &control.socket else { return };
    let text = path.to_string_lossy();
    let problem = if !path.is_absolute() {
        format!(
            "{} is not absolute: write the whole path of the socket, such as /run/millgate/control.sock",
            shown(&text)
        )
    } else if text.ends_with('/') || path.file_name().is_none() {
        format!(
            "{} is a directory: write the socket's own name behind it, such as /run/millgate/control.sock",
            shown(&text)
        )
    } else if length(path) > MAX_SOCKET_PATH {
        too_long(path)
    } else {
        return;
    };
    report.add("control.socket", problem);
}

/// Where nothing is written, the socket may come to lie in `buffer.path`: only the box knows.
pub(super) fn warnings(file: &File, found: &mut Vec<Problem>) {
    let Buffer { path, .. } = &file.buffer;
    let beside = path.join(BESIDE);
    if file.control.socket.is_none() && length(&beside) > MAX_SOCKET_PATH {
        let message = format!(
            "where the service manager gives no runtime directory, the control socket lies here, and {}",
            too_long(&beside)
        );
        found.push(Problem::new("buffer.path", message));
    }
}

fn too_long(path: &Path) -> String {
    format!(
        "{} has {} bytes, more than the {MAX_SOCKET_PATH} that a socket's path may have: write a shorter `control: {{ socket: PATH }}`",
        shown(&path.to_string_lossy()),
        length(path)
    )
}

fn length(path: &Path) -> usize {
    path.as_os_str().len()
}
