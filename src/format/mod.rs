//! Event -> what travels on the wire, and back into one line for a person. Pure: time comes in as an argument.
//!
//! Aggregation's events are rendered here once, before their commit; everything behind it carries the bytes as they are.
//! B2MML is made of those bytes when a document is sent, and read when a MES answers in it.

pub mod b2mml;
mod body;
mod cloudevents;
mod cut;
mod gateway;
mod line;
mod machine;
mod operation;
mod parameter;
mod part;
mod quality;
mod wire;

pub use cloudevents::{MAX_EVENT_BYTES, Rendered, Renderer, event_id, source, source_of};
pub use line::line;

/// JSON Schema (2020-12) of every event that [`Renderer`] makes.
pub const EVENT_SCHEMA: &str = include_str!("event.schema.json");

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod schema_tests;
