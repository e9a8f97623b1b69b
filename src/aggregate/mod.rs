//! Stage 2, Sample -> Event.
pub mod condition;
pub mod counter;
pub mod equipment;
mod percentiles;
pub mod profile;
pub mod statistics;
pub mod trigger;
