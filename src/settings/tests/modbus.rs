//! `modbus_rtu:`: the port, the devices that share it, and how full it gets.

use super::*;

/// A file with these devices; `tags` are those of each.
fn file(devices: &[(&str, &str)]) -> String {
    let mut text = String::from("gateway: { id: gw-1, path: [acme] }\nmachine: M\ndevices:\n");
    for (at, (modbus, tags)) in devices.iter().enumerate() {
        text += &format!(
            "  d{at}:\n    modbus_rtu: {{ {modbus} }}\n    addresses: zero_based\n    tags:\n"
        );
        for tag in tags.split(';') {
            text += &format!("      t{at}_{tag}\n");
        }
    }
    text
}

const TAG: &str = "a: { holding: 0 }";
const PORT: &str = "port: /dev/ttyS1, unit: 1";

/// One device gives one problem that says this.
fn refused(modbus: &str, says: &str) {
    let told = told(&file(&[(modbus, TAG)]));
    assert_eq!(told.len(), 1, "{modbus}\n{told:#?}");
    assert!(told[0].1.contains(says), "{modbus}\n{}\n{says}", told[0].1);
}

fn serial_port(text: &str) -> SerialPort {
    let plant = load(text).unwrap().plant;
    match &plant.devices[0].protocol {
        Protocol::Modbus(Modbus {
            wire: ModbusWire::Rtu(port),
            ..
        }) => port.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_port_that_is_not_described_is_set_as_the_standard_says() {
    let port = serial_port(&file(&[(PORT, TAG)]));
    assert_eq!((port.baud, port.data_bits, port.stop_bits), (19_200, 8, 1));
    assert_eq!(port.parity, shape::Parity::Even);
    let bare = file(&[("port: /dev/ttyS1, unit: 1, parity: none", TAG)]);
    assert_eq!(serial_port(&bare).stop_bits, 2, "11 bits a character");
}

#[test]
fn each_key_has_its_range() {
    refused("port: ttyS1, unit: 1", "write its path");
    refused(
        "unit: 1",
        "Write `port: /dev/...` for a serial port, or `tcp: \"HOST:PORT\"`",
    );
    refused(
        "port: /dev/ttyS1, tcp: \"h:1\", unit: 1",
        "`port` and `tcp` stand here together",
    );
    refused("tcp: \"h\", unit: 1", "is not `HOST:PORT`");
    refused(
        "tcp: \"h:1\", baud: 9600, unit: 1",
        "`baud` is set at the converter",
    );
    refused(
        "tcp: \"h:1\", stop_bits: 1, unit: 1",
        "`stop_bits` is set at the converter",
    );
    refused("port: /dev/ttyS1, unit: 0", "0");
    refused("port: /dev/ttyS1, unit: 248", "248");
    refused("port: /dev/ttyS1", "unit");
    refused("port: /dev/ttyS1, unit: 1, stop_bits: 3", "3");
    refused("port: /dev/ttyS1, unit: 1, baud: 100", "100");
    refused("port: /dev/ttyS1, unit: 1, parity: mark", "none, even, odd");
    refused(
        "port: /dev/ttyS1, unit: 1, timeout: 1ms",
        "`timeout` is 10ms to 30s",
    );
}

#[test]
fn devices_on_one_port_are_set_alike() {
    let other = |keys: &str| {
        file(&[
            (PORT, TAG),
            (&format!("port: /dev/ttyS1, unit: 2{keys}"), TAG),
        ])
    };
    for (keys, says) in [
        (
            ", baud: 9600",
            "`baud` is 9600 here and 19200 at `M.d0`, on the same port /dev/ttyS1",
        ),
        (", parity: odd", "`parity` is odd here and even at `M.d0`"),
        (", stop_bits: 2", "`stop_bits` is 2 here and 1 at `M.d0`"),
        (", rs485: {}", "`rs485` is set here and left out at `M.d0`"),
    ] {
        let text = other(keys);
        let told = told(&text);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].1.contains(says), "{}\n{says}", told[0].1);
        let (place, _) = &told[0];
        assert_eq!(place.line, 10, "at the second device: {place:?}\n{text}");
    }
    assert!(load(&other("")).is_ok());
    assert!(
        load(&other(", timeout: 2s")).is_ok(),
        "a time-out is the device's own"
    );
    let elsewhere = file(&[(PORT, TAG), ("port: /dev/ttyS2, unit: 1, baud: 9600", TAG)]);
    assert!(load(&elsewhere).is_ok());
    let twice = file(&[(PORT, TAG), (PORT, TAG)]);
    assert!(
        load(&twice).is_ok(),
        "one unit, two devices of two machines"
    );
}

/// The warning about how full the line is.
fn full(devices: &[(&str, &str)]) -> Option<String> {
    let loaded = load(&file(devices)).unwrap();
    let told = loaded.warnings().into_iter().map(|problem| problem.message);
    told.into_iter().find(|message| message.contains("% full"))
}

#[test]
fn a_line_that_cannot_hold_its_periods_is_said() {
    let tags = "a: { holding: 0, every: 100ms };b: { holding: 60, type: u32, every: 100ms }";
    assert_eq!(full(&[(PORT, tags)]), None);
    // At 9,600 bit/s: 15 or 17 characters, 7 of silence, 5 ms to think: 30.2 and 32.5 ms.
    let slow = "port: /dev/ttyS1, unit: 1, baud: 9600";
    assert_eq!(full(&[(slow, tags)]), None);
    let other = "port: /dev/ttyS1, unit: 2, baud: 9600";
    let nearly = "a: { holding: 0, every: 100ms }";
    let said = full(&[(slow, tags), (other, nearly)]).unwrap();
    assert!(
        said.contains("the line on /dev/ttyS1 is 93 % full at 9600 bit/s: little is left"),
        "{said}"
    );
    let said = full(&[(slow, tags), (other, tags)]).unwrap();
    assert!(
        said.contains("is 125 % full at 9600 bit/s: it cannot hold the periods"),
        "{said}"
    );
    assert!(
        said.contains("`M.d1` takes most, 63 % with 20.0 requests a second"),
        "{said}"
    );
    let converter = "tcp: \"h:1\", unit: 1";
    assert_eq!(full(&[(converter, tags), (converter, tags)]), None);
}

#[test]
fn what_is_read_in_one_request_is_counted_once() {
    let wide: Vec<String> = (0..20)
        .map(|at| format!("r{at}: {{ holding: {at}, every: 100ms }}"))
        .collect();
    assert_eq!(full(&[(PORT, &wide.join(";"))]), None);
    let apart: Vec<String> = (0..20)
        .map(|at| format!("r{at}: {{ holding: {}, every: 100ms }}", at * 100))
        .collect();
    assert!(full(&[(PORT, &apart.join(";"))]).is_some());
}
