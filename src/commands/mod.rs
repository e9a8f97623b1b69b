//! What a person types.
pub mod replay;
