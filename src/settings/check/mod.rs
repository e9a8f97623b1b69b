//! From the shape of the file to the checked plant: everything that takes two keys together is looked at here.
//!
//! Called by `load` with a file whose single keys are already right. Notes every problem and goes on; conditions are
//! compiled and type-checked by `aggregate`, which knows CEL.

mod alarm;
mod buffer;
mod bus_load;
mod calendar;
mod conditioning;
mod control;
mod course;
mod device;
mod doubtful;
mod equipment;
mod http;
mod http_answers;
mod http_requests;
mod limit;
mod line_field;
mod line_warning;
mod lines;
mod measurement;
mod modbus;
mod mqtt;
mod names;
mod opc_ua;
mod opc_ua_box;
mod operation;
mod origin;
mod register;
mod scan;
mod scope;
mod serial;
mod stop;
mod template;
mod time;
mod untyped;
mod uplink;
mod url;
mod warning;

pub(super) use bus_load::warnings as bus_warnings;
pub(super) use calendar::of as calendar_of;
pub use control::MAX_SOCKET_PATH;
pub(super) use device::{MAX_SKEW, every, lost_after};
pub(super) use lines::{EVERY as POLL_EVERY, TIMEOUT as POLL_TIMEOUT};
pub(super) use modbus::{MAX_GAP, MAX_REGISTERS, kind};
pub(super) use opc_ua::queue;
pub use url::broker;
pub(super) use warning::warnings;

use super::plant::{Machine, Plant};
use super::problem::{Problem, shown};
use super::report::Report;
use super::shape;
use indexmap::IndexMap;
use scope::Scope;

/// Levels of `gateway.path`: enterprise, site, area, line, cell.
const MAX_LEVELS: usize = 5;
/// Longest name of a level in bytes.
const MAX_LEVEL_BYTES: usize = 64;
/// Builds the plant. What is built is only to be used when the report is empty.
pub(super) fn check(file: &shape::File, digest: String, report: &mut Report) -> Plant {
    let mut plant = Plant {
        gateway: file.gateway.clone(),
        machines: Vec::new(),
        devices: Vec::new(),
        tags: Vec::new(),
        calendars: file.calendars.clone(),
        buffer: file.buffer.clone(),
        control: file.control.clone(),
        uplinks: Vec::new(),
        shadow: file.shadow,
        digest,
    };
    gateway(&file.gateway, report);
    one_or_several(file, report);
    if let Some(name) = &file.machine {
        let blocks = Blocks {
            devices: &file.devices,
            equipment: file.equipment.as_ref(),
            scans: &file.scans,
            operations: &file.operations,
            measurements: &file.measurements,
        };
        names::name("a machine", name, "machine", report);
        machine(name, "", &blocks, &mut plant, report);
    }
    for (name, several) in &file.machines {
        let blocks = Blocks {
            devices: &several.devices,
            equipment: several.equipment.as_ref(),
            scans: &several.scans,
            operations: &several.operations,
            measurements: &several.measurements,
        };
        let path = join("machines", name);
        names::name("a machine", name, &path, report);
        machine(name, &path, &blocks, &mut plant, report);
    }
    calendar::check(&plant.calendars, report);
    scan::check(&plant, report);
    lines::shared_ports(&plant, report);
    modbus::shared_ports(&plant, report);
    buffer::check(&file.buffer, report);
    control::check(&file.control, report);
    uplink::check(file, &mut plant, report);
    plant
}

fn gateway(gateway: &shape::Gateway, report: &mut Report) {
    names::name("a gateway", &gateway.id, "gateway.id", report);
    let levels = gateway.path.len();
    if levels == 0 || levels > MAX_LEVELS {
        report.add(
            "gateway.path",
            format!(
                "`path` has {levels} levels: write 1 to {MAX_LEVELS}, [ENTERPRISE, SITE, AREA, LINE, CELL], those you have"
            ),
        );
    }
    for (at, level) in gateway.path.iter().enumerate() {
        let path = format!("gateway.path.{at}");
        let bad = |letter: char| letter.is_control() || "/+#".contains(letter);
        if level.trim().is_empty() {
            report.add(path, "an empty level: leave it out");
        } else if level.len() > MAX_LEVEL_BYTES || level.contains(bad) {
            let message = format!(
                "{} cannot be a level: it becomes part of topics, so no `/`, `+`, `#`, and at most {MAX_LEVEL_BYTES} bytes",
                shown(level)
            );
            report.add(path, message);
        }
    }
}

/// A file describes one machine with its blocks at the top, or several below `machines:`.
fn one_or_several(file: &shape::File, report: &mut Report) {
    let blocks = [
        ("devices", !file.devices.is_empty()),
        ("equipment", file.equipment.is_some()),
        ("scans", !file.scans.is_empty()),
        ("operations", !file.operations.is_empty()),
        ("measurements", !file.measurements.is_empty()),
    ];
    let written = blocks
        .iter()
        .find(|(_, is_there)| *is_there)
        .map(|(name, _)| *name);
    match (&file.machine, file.machines.is_empty(), written) {
        (Some(_), false, _) => report.add(
            "machines",
            "both `machine:` and `machines:` stand here: one machine is `machine: NAME` with its blocks at the top, several all stand below `machines:`",
        ),
        (None, true, Some(block)) => {
            let message = format!("whose `{block}` are these? Write `machine: NAME` above");
            report.push(Problem {
                place: Some(report.place(block)),
                ..Problem::new("machine", message)
            });
        }
        (None, true, None) => report.add(
            "",
            "no machine: write `machine: NAME` and below it `devices:`, `equipment:`, `operations:`; or `machines:` for several",
        ),
        (None, false, Some(block)) => report.add(
            block,
            format!("`{block}` stands at the top, but the machines stand below `machines:`: move it to its machine"),
        ),
        (Some(_), true, _) | (None, false, None) => {}
    }
}

/// The blocks of one machine, wherever they stand.
struct Blocks<'a> {
    devices: &'a IndexMap<String, shape::Device>,
    equipment: Option<&'a shape::Equipment>,
    scans: &'a IndexMap<String, Vec<shape::ScanRule>>,
    operations: &'a IndexMap<String, shape::Operation>,
    measurements: &'a IndexMap<String, shape::Measurement>,
}

fn machine(name: &str, path: &str, blocks: &Blocks<'_>, plant: &mut Plant, report: &mut Report) {
    let mut built = Machine {
        name: name.to_owned(),
        path: path.to_owned(),
        tags: IndexMap::new(),
        devices: Vec::new(),
        equipment: blocks.equipment.cloned().unwrap_or_default(),
        scans: blocks.scans.clone(),
        operations: blocks.operations.clone(),
        measurements: blocks.measurements.clone(),
    };
    for (device_name, shape) in blocks.devices {
        let at = join(&join(path, "devices"), device_name);
        device::check(device_name, shape, &at, &mut built, plant, report);
    }
    let scope = Scope {
        machine: &built,
        tags: &plant.tags,
    };
    let at = join(path, "equipment");
    equipment::check(&scope, &at, report);
    stop::check(&scope, plant, &at, report);
    alarm::check(&scope, &at, report);
    measurement::check(&scope, &join(path, "measurements"), report);
    for (operation, shape) in &built.operations {
        let at = join(&join(path, "operations"), operation);
        names::name("an operation", operation, &at, report);
        operation::check(operation, shape, &scope, &at, report);
    }
    plant.machines.push(built);
}

/// A path one key further.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        return key.to_owned();
    }
    format!("{path}.{key}")
}
