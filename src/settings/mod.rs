//! Settings: one YAML file in, checked settings out, or every problem with its place.

mod plant;
mod problem;
mod secret;
pub mod shape;
mod units;

pub use plant::{
    Conditioning, Device, Machine, ModbusTcp, Plant, Protocol, Register, Table, Tag, TagSource,
    Uplink, UplinkProtocol,
};
pub use problem::{Problem, nearest};
pub use secret::{SecretError, SecretText};
pub use units::{ByteSize, Period, Rate};
