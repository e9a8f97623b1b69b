//! The systemd unit: it is valid, its sandbox is as tight as DESIGN asks, and what the gateway needs still gets through.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `systemd-analyze security`: 0 is locked up, 10 is wide open. Without any hardening the unit has 9.6.
const MOST_EXPOSURE: f64 = 1.3;
/// With the serial ports of `serial.conf`: the devices (0.2), their list (0.1 by rounding) and the group (0.1) are the price.
const MOST_EXPOSURE_WITH_SERIAL_PORTS: f64 = 1.6;

fn unit() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("systemd/millgate.service")
}

/// What `systemd-analyze` prints, or `None` with a word about it where it is not installed.
fn systemd_analyze(arguments: &[&str], unit: &Path) -> Option<String> {
    match Command::new("systemd-analyze")
        .args(arguments)
        .arg(unit)
        .output()
    {
        Ok(output) => {
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            Some(text)
        }
        Err(error) => {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "systemd-analyze is missing ({error}), and with CI=true nothing is skipped: install the package systemd"
            );
            println!("skipped: the checks of systemd/millgate.service: systemd-analyze: {error}");
            None
        }
    }
}

fn exposure(unit: &Path, most: f64) {
    let Some(text) = systemd_analyze(&["security", "--offline=true"], unit) else {
        return;
    };
    let exposure: f64 = text
        .split_once("Overall exposure level for millgate.service:")
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("systemd-analyze printed no exposure level:\n{text}"));
    assert!(
        exposure <= most,
        "exposure {exposure}, at most {most}:\n{text}"
    );
}

#[test]
fn the_sandbox_is_tight() {
    exposure(&unit(), MOST_EXPOSURE);
}

#[test]
fn serial_ports_open_it_no_further_than_they_must() {
    let base = std::fs::read_to_string(unit()).unwrap();
    let serial = std::fs::read_to_string(unit().with_file_name("serial.conf")).unwrap();
    // Later lines win, as those of a drop-in do; `systemd-analyze` reads no drop-in of a unit that is not installed.
    let both = base.replace("[Install]", &format!("{serial}\n[Install]"));
    let directory = tempfile::tempdir().unwrap();
    let merged = directory.path().join("millgate.service");
    std::fs::write(&merged, both).unwrap();
    exposure(&merged, MOST_EXPOSURE_WITH_SERIAL_PORTS);
}

#[test]
fn systemd_understands_every_line() {
    let Some(text) = systemd_analyze(&["verify"], &unit()) else {
        return;
    };
    // Neither the binary nor its place is installed where tests run; everything else it says is about the unit.
    let complaints: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("millgate.service") && !line.contains("is not executable"))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn what_the_gateway_needs_gets_through_the_sandbox() {
    let text = std::fs::read_to_string(unit()).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for needed in [
        "Type=notify",
        "ExecStart=/usr/bin/millgate run --config /etc/millgate/gateway.yaml",
        "Restart=always",
        // Wrong settings and a wrong command line (sysexits): a person is needed.
        "RestartPreventExitStatus=64 78",
        "StateDirectory=millgate",
        // The control socket, which the group may use.
        "RuntimeDirectory=millgate",
        "RuntimeDirectoryMode=0750",
        // The quality of the time labels is read with these.
        "SystemCallFilter=adjtimex clock_adjtime",
        // Modbus and uplinks, and the notify socket.
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        // ProcSubset hides it where the gateway looks first.
        "Environment=MILLGATE_BOOT_ID=%b",
    ] {
        assert!(lines.contains(&needed), "the unit lacks `{needed}`");
    }
    assert!(
        !lines.iter().any(|line| line.starts_with("ProtectClock")),
        "ProtectClock filters adjtimex even for reading"
    );
}
