//! What stands in the place of an engine that failed: nothing is written to it or read from it any more.
//!
//! A generation whose write failed is closed at once, and the store goes on in a fresh one.

use super::{Batch, Each, Engine, EngineError};
use std::path::PathBuf;

/// The database that was closed.
#[derive(Debug)]
pub(in crate::buffer) struct Closed(pub(in crate::buffer) PathBuf);

impl Closed {
    fn error<T>(&self) -> Result<T, EngineError> {
        Err(EngineError::Poisoned(self.0.clone()))
    }
}

impl Engine for Closed {
    fn put(&mut self, _: Batch) -> Result<(), EngineError> {
        self.error()
    }

    fn sync(&mut self) -> Result<(), EngineError> {
        self.error()
    }

    fn scan(&self, _: &[u8], _: &[u8], _: &mut Each<'_>) -> Result<(), EngineError> {
        self.error()
    }

    fn last(&self, _: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.error()
    }

    #[cfg(test)]
    fn break_barrier(&mut self) {}
}
