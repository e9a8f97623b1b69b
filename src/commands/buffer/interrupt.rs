//! Ctrl-C in a long work: noticed between two steps, so that nothing is left half done and no copy stays behind.

use super::super::{Exit, Failure};
use std::io;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::yield_now;

/// Listens for SIGINT, SIGTERM and SIGHUP.
pub(in crate::commands) struct Interrupt {
    runtime: Runtime,
    signals: Vec<Signal>,
}

impl Interrupt {
    /// Listens from now on.
    ///
    /// # Errors
    /// Signals cannot be received.
    pub(in crate::commands) fn listen() -> Result<Interrupt, Failure> {
        let listen = || -> io::Result<Interrupt> {
            let runtime = Builder::new_current_thread().enable_io().build()?;
            let signals = {
                let _inside = runtime.enter();
                [
                    SignalKind::interrupt(),
                    SignalKind::terminate(),
                    SignalKind::hangup(),
                ]
                .into_iter()
                .map(signal)
                .collect::<io::Result<_>>()?
            };
            Ok(Interrupt { runtime, signals })
        };
        listen().map_err(|error| Failure::new(Exit::Software, error))
    }

    /// Whether one has come.
    pub(in crate::commands) fn came(&mut self) -> bool {
        let signals = &mut self.signals;
        self.runtime.block_on(async {
            // Twice: once for the runtime to look at its signals, once for us to see what it found.
            for _ in 0..2 {
                yield_now().await;
                for signal in signals.iter_mut() {
                    let came = tokio::select! {
                        biased;
                        came = signal.recv() => came.is_some(),
                        () = std::future::ready(()) => false,
                    };
                    if came {
                        return true;
                    }
                }
            }
            false
        })
    }

    /// The end of a work that one has ended.
    pub(in crate::commands) fn failure() -> Failure {
        Failure::new(
            Exit::Interrupted,
            anyhow::anyhow!("broken off before the end"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_noticed_at_the_next_step_and_none_before() {
        let mut interrupt = Interrupt::listen().unwrap();
        assert!(!interrupt.came());
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).unwrap();
        // The handler runs in some thread of the test program: at once, for a signal that is raised.
        assert!(interrupt.came());
        assert!(!interrupt.came());
    }
}
