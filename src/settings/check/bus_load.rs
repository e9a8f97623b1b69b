//! Whether a serial line can carry what is to be read over it: told by `check`, from the bytes on the wire alone.
//!
//! Pure. Counts the requests that the planner makes, at the speed of the port. What lies behind a converter or a gateway is
//! not known here, so nothing is said of it.

use super::join;
use super::modbus::{path_of, port};
use crate::settings::plant::{
    Device, Modbus, Plant, Protocol, Register, SerialPort, Table, TagSource,
};
use crate::settings::problem::Problem;
use crate::settings::shape::Parity;
use indexmap::IndexMap;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Bytes of a request.
const REQUEST_BYTES: u32 = 8;
/// Bytes of an answer beside its values.
const FRAME_BYTES: u32 = 5;
/// What a device usually takes to think.
const TURNAROUND: Duration = Duration::from_millis(5);
/// Above this speed the silence between frames no longer shrinks.
const FAST_BAUD: u32 = 19_200;
/// The silence between frames at such speeds.
const FAST_SILENCE: Duration = Duration::from_micros(1_750);
/// Most bits in a request.
const MAX_BITS: u32 = 2_000;
/// What a line can be filled to before a repeated request or a slow device makes cycles late.
const FULL: f64 = 0.8;

/// What one device takes of a line.
struct Share<'a> {
    device: &'a Device,
    /// Of one second, in seconds.
    load: f64,
    requests_per_s: f64,
}

/// The ports that are asked for more than they carry.
pub(in crate::settings) fn warnings(plant: &Plant) -> Vec<Problem> {
    let mut ports: IndexMap<&Path, (&SerialPort, Vec<Share<'_>>)> = IndexMap::new();
    for device in &plant.devices {
        if let (Some(port), Protocol::Modbus(settings)) = (port(device), &device.protocol) {
            let (_, shares) = ports
                .entry(&port.path)
                .or_insert_with(|| (port, Vec::new()));
            shares.push(share(device, settings, port, plant));
        }
    }
    let full = ports
        .values()
        .filter_map(|(port, shares)| warning(port, shares, plant));
    full.collect()
}

fn warning(port: &SerialPort, shares: &[Share<'_>], plant: &Plant) -> Option<Problem> {
    let load: f64 = shares.iter().map(|share| share.load).sum();
    if load <= FULL {
        return None;
    }
    let most = shares
        .iter()
        .max_by(|one, other| one.load.total_cmp(&other.load))?;
    let verdict = if load > 1.0 {
        "it cannot hold the periods, cycles will be skipped"
    } else {
        "little is left for a device that is slow or does not answer"
    };
    let message = format!(
        "the line on {} is {:.0} % full at {} bit/s: {verdict}. `{}` takes most, {:.0} % with {:.1} requests a second: raise `every:` of its tags, move them closer together, or raise `baud`",
        port.path.display(),
        load * 100.0,
        port.baud,
        most.device.name,
        most.load * 100.0,
        most.requests_per_s
    );
    let path = join(&join(&path_of(most.device, plant), "modbus_rtu"), "port");
    Some(Problem::new(path, message))
}

fn share<'a>(device: &'a Device, settings: &Modbus, port: &SerialPort, plant: &Plant) -> Share<'a> {
    let mut groups: BTreeMap<(Duration, Table), Vec<(u32, u32)>> = BTreeMap::new();
    let tags = device
        .tags
        .iter()
        .filter_map(|id| plant.tags.get(id.index()));
    for tag in tags {
        if let TagSource::Modbus(register) = &tag.source {
            let group = groups.entry((tag.every, register.table)).or_default();
            group.push(place(register));
        }
    }
    let mut share = Share {
        device,
        load: 0.0,
        requests_per_s: 0.0,
    };
    for ((every, table), mut places) in groups {
        places.sort_unstable();
        for count in requests(&places, table, settings) {
            let per_s = 1.0 / every.max(Duration::from_millis(1)).as_secs_f64();
            share.requests_per_s += per_s;
            share.load += exchange(count, table, port).as_secs_f64() * per_s;
        }
    }
    share
}

fn place(register: &Register) -> (u32, u32) {
    let start = u32::from(register.address);
    (start, start + u32::from(register.width().max(1)))
}

fn has_bits(table: Table) -> bool {
    matches!(table, Table::Coils | Table::DiscreteInputs)
}

/// Registers or bits of each request for these places, which are in order.
fn requests(places: &[(u32, u32)], table: Table, settings: &Modbus) -> Vec<u32> {
    let (most, gap) = if has_bits(table) {
        (MAX_BITS, u32::from(settings.max_gap) * 16)
    } else {
        (settings.max_registers.into(), settings.max_gap.into())
    };
    let mut made = Vec::new();
    let mut open: Option<(u32, u32)> = None;
    for (start, end) in places {
        open = match open {
            Some((first, last)) if *start <= last + gap && (*end).max(last) - first <= most => {
                Some((first, last.max(*end)))
            }
            done => {
                made.extend(done.map(|(first, last)| last - first));
                Some((*start, *end))
            }
        };
    }
    made.extend(open.map(|(first, last)| last - first));
    made
}

/// How long one request and its answer keep the line busy.
fn exchange(count: u32, table: Table, port: &SerialPort) -> Duration {
    let values = if has_bits(table) {
        count.div_ceil(8)
    } else {
        count * 2
    };
    let parity = u32::from(port.parity != Parity::None);
    let bits = 1 + u32::from(port.data_bits) + parity + u32::from(port.stop_bits);
    let character = Duration::from_secs(bits.into()) / port.baud.max(1);
    let silence = if port.baud > FAST_BAUD {
        FAST_SILENCE
    } else {
        character * 7 / 2
    };
    character * (REQUEST_BYTES + FRAME_BYTES + values) + silence * 2 + TURNAROUND
}
