//! Stage 1, machine -> Sample: reads devices and hands over what they say, one batch per device and poll cycle.

mod condition;
mod decimal;
pub mod modbus;
