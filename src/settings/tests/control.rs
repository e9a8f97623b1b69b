//! `control.socket`: a path that the kernel takes for a socket.

use super::{PRESS, check, load, warned, with};

const KEY: &str = "machine: PRESS-12";

fn socket(path: &str) -> String {
    format!("control: {{ socket: {path} }}\n{KEY}")
}

#[test]
fn the_path_of_the_control_socket_is_whole_and_short_enough() {
    let long = format!("/run/{}", "x".repeat(103));
    for (path, says) in [
        ("control.sock", "is not absolute"),
        ("/run/millgate/", "is a directory"),
        ("/", "is a directory"),
        (long.as_str(), "has 108 bytes, more than the 107"),
    ] {
        check(KEY, &socket(path), &format!("{path} }}"), says);
    }
    let longest = format!("/run/{}", "x".repeat(102));
    for good in ["/run/millgate/control.sock", &longest] {
        assert!(load(&with(KEY, &socket(good))).is_ok(), "{good}");
    }
}

#[test]
fn a_store_with_a_path_too_long_for_a_socket_is_warned_of() {
    let long = format!("path: /var/lib/{}", "x".repeat(90));
    warned(
        PRESS,
        "path: /var/lib/millgate",
        &long,
        "has 112 bytes, more than the 107",
    );
}
