//! `millgate browse`: finds what a device has and prints the block of the settings that reads it.
//!
//! One file for each protocol. Standard output has only the block, so that it can go into a file; progress and what else is
//! to say go to standard error.

mod modbus;
mod opc_ua;
mod scan;
mod yaml;

use super::modbus::Bus;
use super::range::Ranges;
use super::target::{self, Target};
use super::{Exit, Failure, run, session};
use crate::settings::Period;
use anyhow::anyhow;
use std::path::PathBuf;

/// What `--help` ends with.
const EXAMPLES: &str = "\
Addresses:
  modbus-tcp://10.0.0.5/1                        host[:port]/unit
  'modbus-rtu:///dev/ttyS1?baud=19200&unit=12'   parity=even, data_bits=8, stop_bits=1 when left out
  modbus-rtu://10.0.0.6:4001/12                  RTU over TCP, behind a serial converter
  opc.tcp://10.0.0.7:4840

Examples:
  millgate browse 'modbus-rtu:///dev/ttyS1?baud=9600' --unit 1..247 --timeout 100ms
  millgate browse modbus-tcp://10.0.0.5/1 --holding 0..999 > plc.yaml
  millgate browse opc.tcp://10.0.0.7:4840 --config gateway.yaml > robot.yaml";

/// Find what a device has: scan Modbus addresses or walk an OPC UA server, and print ready settings.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Browse {
    /// Where the device is; see the addresses below
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    ranges: Ranges,
    /// Which units answer, such as 1..247, instead of what one of them has
    #[arg(long, value_name = "RANGE", value_parser = super::range::parse)]
    unit: Option<super::range::Range>,
    /// Pause between two requests
    #[arg(long, value_name = "TIME", default_value = "10ms", value_parser = super::period)]
    pause: Period,
    /// Longest wait for one answer
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::period)]
    timeout: Period,
    /// Ask every address behind empty stretches, too, not only the tens
    #[arg(long)]
    thorough: bool,
    /// A tag for everything, also for what is 0 and does not change
    #[arg(long)]
    all: bool,
    /// OPC UA: levels below the folder of all objects
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = upto_20)]
    depth: usize,
    /// OPC UA: most nodes that are looked at
    #[arg(long, value_name = "NUMBER", default_value_t = 2_000)]
    most: usize,
    /// Settings whose device with this OPC UA address lends its security and user
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Browse {
    pub(super) fn run(self) -> Result<(), Failure> {
        let target = target::parse(&self.url).map_err(usage)?;
        let runtime = run::runtime()?;
        match target {
            Target::Modbus { wire, unit } => {
                let bus = Bus::new(wire.clone(), self.timeout.get());
                let walk = modbus::Walk::new(bus, self.pause.get());
                if let Some(units) = self.unit {
                    return runtime.block_on(modbus::units(walk, units, self.json));
                }
                let unit = unit.ok_or_else(|| {
                    usage("the unit is missing behind the address: `--unit 1..247` finds which there are".into())
                })?;
                let wish = modbus::Wish {
                    url: self.url,
                    wire,
                    unit,
                    ranges: self.ranges.all(),
                    thorough: self.thorough,
                    all: self.all,
                    json: self.json,
                };
                runtime.block_on(modbus::browse(walk, &wish))
            }
            Target::OpcUa { endpoint } => {
                let wish = opc_ua::Wish {
                    insecure: self.config.is_none(),
                    endpoint,
                    depth: self.depth,
                    nodes: self.most,
                    json: self.json,
                };
                runtime.block_on(async {
                    let (config, timeout) = (self.config.as_deref(), self.timeout.get());
                    let client = session::connect(&wish.endpoint, config, timeout).await?;
                    opc_ua::browse(client, &wish).await
                })
            }
            Target::Lines(_) => Err(usage(
                "a device that sends lines has nothing to browse: `millgate probe` shows what it sends".into(),
            )),
        }
    }
}

fn upto_20(text: &str) -> Result<usize, String> {
    let levels = text.parse().ok().filter(|levels| (1..=20).contains(levels));
    levels.ok_or_else(|| "write a number from 1 to 20".into())
}

fn usage(what: String) -> Failure {
    Failure::new(Exit::Usage, anyhow!(what))
}
