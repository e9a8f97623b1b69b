//! Stage 2, Sample -> Event.
pub mod condition;
