//! What a person types: one file per command. `main` reads the arguments and calls them.

#[cfg(feature = "demo")]
pub mod demo;
