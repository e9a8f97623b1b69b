//! `millgate probe`: looks at a device without any settings, in every way that its values could be meant.
//!
//! One file for each protocol. `view` is what registers could mean, `table` and `report` how that is shown to people and to
//! programs, `screen` the live table.

mod heard;
mod lines;
mod modbus;
mod opc_ua;
pub(super) mod report;
mod screen;
pub(super) mod table;
pub(super) mod view;

use super::modbus::Bus;
use super::range::Ranges;
use super::target::{self, Target};
use super::{Exit, Failure, run, session, terminal};
use crate::settings::{LinesWire, ModbusWire, Node, Period};
use anyhow::anyhow;
use lines::Listen;
use modbus::{MOST_PLACES, Sight};
use std::path::PathBuf;
use table::Style;
use tokio::signal::unix::{SignalKind, signal};

/// What `--help` ends with.
const EXAMPLES: &str = "\
Addresses:
  modbus-tcp://10.0.0.5/1                        host[:port]/unit
  'modbus-rtu:///dev/ttyS1?baud=19200&unit=12'   parity=even, data_bits=8, stop_bits=1 when left out
  modbus-rtu://10.0.0.6:4001/12                  RTU over TCP, behind a serial converter
  opc.tcp://10.0.0.7:4840
  'serial:///dev/ttyUSB0?baud=9600'              scanners, scales, gauges; parity=none when left out
  tcp://10.0.0.8:9004                            the same over TCP

Examples:
  millgate probe modbus-tcp://10.0.0.5/1 --holding 99..110 --watch
  millgate probe opc.tcp://10.0.0.7:4840 'nsu=http://acme.example/press;s=Speed' i=2258
  millgate probe 'serial:///dev/ttyUSB0?baud=9600' --for 30s
  millgate probe tcp://10.0.0.8:4001 --send 'S\\r\\n'";

/// Look at registers, nodes or lines of a device, in every type and byte order, to find the right one.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Probe {
    /// Where the device is; see the addresses below
    #[arg(value_name = "URL")]
    url: String,
    /// Nodes of an OPC UA server, such as "nsu=URI;s=Filler.Speed"
    #[arg(value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    ranges: Ranges,
    /// Look again and again until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// How often with --watch or --send
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::period)]
    every: Period,
    /// End --watch, or the listening to lines, after so long
    #[arg(long = "for", value_name = "TIME", value_parser = super::period)]
    run_for: Option<Period>,
    /// Sent to a device that sends lines only when it is asked, again and again; such as 'P\r\n'
    #[arg(long, value_name = "TEXT", value_parser = heard::request)]
    send: Option<heard::Request>,
    /// Four registers together, too: f64, i64, u64
    #[arg(long)]
    wide: bool,
    /// Longest wait for one answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::period)]
    timeout: Period,
    /// Settings whose device with this OPC UA address lends its security and user
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON; with --watch one line for each look
    #[arg(long)]
    json: bool,
}

impl Probe {
    pub(super) fn run(self) -> Result<(), Failure> {
        let target = target::parse(&self.url).map_err(usage)?;
        let runtime = run::runtime()?;
        match target {
            Target::Modbus { wire, unit } => {
                let sight = self.sight(wire, unit)?;
                if self.watch {
                    let (every, run_for) = (self.every.get(), self.run_for);
                    runtime.block_on(async {
                        let end = end(run_for)?;
                        modbus::watch(sight, every, end).await
                    })
                } else {
                    runtime.block_on(modbus::once(sight))
                }
            }
            Target::Lines(wire) => {
                let listen = self.listen(wire)?;
                runtime.block_on(async {
                    let end = end(self.run_for)?;
                    lines::listen(listen, end).await
                })
            }
            Target::OpcUa { endpoint } => {
                let watched = self.watched(endpoint)?;
                runtime.block_on(async {
                    let (config, timeout) = (self.config.as_deref(), self.timeout.get());
                    let client = session::connect(&watched.endpoint, config, timeout).await?;
                    let end = end(self.run_for)?;
                    opc_ua::probe(client, &watched, end).await
                })
            }
        }
    }

    fn watched(&self, endpoint: String) -> Result<opc_ua::Watched, Failure> {
        if self.nodes.is_empty() {
            return Err(usage(format!(
                "which nodes? Write \"nsu=URI;s=NAME\" behind the address; `millgate browse {endpoint}` finds what there is"
            )));
        }
        let nodes: Result<Vec<Node>, String> =
            self.nodes.iter().map(|text| session::node(text)).collect();
        Ok(opc_ua::Watched {
            endpoint,
            nodes: nodes.map_err(usage)?,
            json: self.json,
            every: self.watch.then(|| self.every.get()),
        })
    }

    fn listen(&self, wire: LinesWire) -> Result<Listen, Failure> {
        if !self.ranges.all().is_empty() || !self.nodes.is_empty() {
            let what = "a device that sends lines has neither registers nor nodes: write the address alone";
            return Err(usage(what.into()));
        }
        Ok(Listen {
            url: self.url.clone(),
            wire,
            request: self.send.clone().map(|bytes| bytes.0),
            every: self.every.get(),
            json: self.json,
        })
    }

    fn sight(&self, wire: ModbusWire, unit: Option<u8>) -> Result<Sight, Failure> {
        let ranges = self.ranges.all();
        if !self.nodes.is_empty() {
            return Err(usage(
                "nodes are of OPC UA: write --holding 99..110 for registers".into(),
            ));
        }
        if ranges.is_empty() {
            return Err(usage(
                "which registers? Write --holding 99..110, --input, --coil or --discrete; `millgate browse` finds what there is".into(),
            ));
        }
        let places: u32 = ranges.iter().map(|(_, range)| range.len()).sum();
        if places > MOST_PLACES {
            return Err(usage(format!(
                "{places} addresses are no table for people: ask for at most {MOST_PLACES}, or let `millgate browse` scan them"
            )));
        }
        let unit = unit.ok_or_else(|| {
            usage(format!(
                "the unit is missing: write {}",
                with_unit(&self.url)
            ))
        })?;
        Ok(Sight {
            url: self.url.clone(),
            bus: Bus::new(wire, self.timeout.get()),
            unit,
            ranges,
            style: Style {
                colour: terminal::colours_on_output() && !self.json,
                wide: self.wide,
                watching: self.watch,
            },
            json: self.json,
        })
    }
}

/// The address as it would be with a unit.
fn with_unit(url: &str) -> String {
    let serial = url.contains(":///");
    match (serial, url.contains('?')) {
        (true, true) => format!("{url}&unit=1"),
        (true, false) => format!("{url}?unit=1"),
        (false, _) => format!("{}/1", url.trim_end_matches('/')),
    }
}

fn usage(what: String) -> Failure {
    Failure::new(Exit::Usage, anyhow!(what))
}

/// Comes with Ctrl-C, SIGTERM, or when the time is over.
fn end(run_for: Option<Period>) -> Result<impl Future<Output = ()>, Failure> {
    let deaf = |error| Failure::new(Exit::Software, error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(deaf)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(deaf)?;
    Ok(async move {
        let over = async {
            match run_for {
                Some(period) => tokio::time::sleep(period.get()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = over => {}
        }
    })
}

#[cfg(test)]
mod tests {
    use super::with_unit;

    #[test]
    fn the_unit_is_shown_where_it_belongs() {
        assert_eq!(with_unit("modbus-tcp://plc"), "modbus-tcp://plc/1");
        assert_eq!(
            with_unit("modbus-rtu:///dev/ttyS1"),
            "modbus-rtu:///dev/ttyS1?unit=1"
        );
        assert_eq!(
            with_unit("modbus-rtu:///dev/ttyS1?baud=9600"),
            "modbus-rtu:///dev/ttyS1?baud=9600&unit=1"
        );
    }
}
