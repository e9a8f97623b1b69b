//! Wakes a flush that sled forgot.
//!
//! When the write of a full buffer fails on one of sled's threads, it stores the error and wakes nobody: the thread that
//! waits in `flush` waits for ever. A flush from elsewhere that meets the stored error wakes it. Found by failing
//! `sync_file_range` under strace: two of eight stores hung.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often it looks: an atomic read.
const PERIOD: Duration = Duration::from_secs(1);

/// A thread that looks after one database until it is dropped.
#[derive(Debug)]
pub(super) struct Waker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Waker {
    pub(super) fn start(database: &sled::Db) -> io::Result<Waker> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, database) = (stop.clone(), database.clone());
        let thread = std::thread::Builder::new()
            .name("store-waker".into())
            .spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    if database.context.global_error().is_err() {
                        // It fails at once with the same error, which is the waiting thread's to report.
                        database.flush().ok();
                    }
                    std::thread::park_timeout(PERIOD);
                }
            })?;
        Ok(Waker {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that looks after the store panicked");
            }
        }
    }
}
