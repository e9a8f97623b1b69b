//! Stage 3, Event -> Record: keeps events on disk until every uplink has settled them.

mod outlet;

pub use outlet::{Closed, Outlet, Record, Request};
