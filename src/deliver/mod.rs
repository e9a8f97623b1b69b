//! Stage 4, Record -> MES: delivers every event until the MES has given its verdict.
//!
//! In reading order: [`prepare`] (setup) checks, [`run_uplink`] (task) drains the buffer through the `window` and one
//! protocol (`mqtt`, `http`) that implements `Uplink`: `outgoing` sends, `noting` tells the buffer, `outcome` follows what is answered, `parking` puts aside
//! what it does not take, `retries` tries that again; `gate`, `answering`, `holding` and `pace` decide what waits, `filter` what is wanted,
//! `report` what is logged. `courier` and `way` serve commands that try a destination.
//! At least once, in order of first delivery per partition key. Nothing outside this folder knows MQTT or HTTP.

mod answering;
mod body;
mod check;
mod courier;
mod entries;
mod filter;
mod gate;
mod handshake;
mod holding;
mod http;
mod mqtt;
mod neighbours;
mod noting;
mod outcome;
mod outgoing;
mod pace;
mod parking;
mod report;
mod retries;
mod said;
mod setup;
mod task;
mod timing;
mod tls;
mod uplink;
mod verdict;
pub mod way;
mod window;

pub use check::{check, warnings};
pub use courier::{Courier, NoToken, Parcel, Said, Word, parcel};
#[cfg(any(test, fuzzing))]
pub use http::anything;
pub use http::{Glimpse, Shown, http_request};
pub use mqtt::{AddressError, TemplateError};
pub use setup::{Prepared, SetupError, prepare};
pub use task::run_uplink;
pub use timing::Timing;
