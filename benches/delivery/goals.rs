//! How a bench of delivery runs and ends: 0 where its goals are met, 1 where one is missed, 69 where nothing could be measured.
//!
//! Goals are what does not depend on the speed of the machine: ratios within one run, memory, disk. Rates are printed.

use super::{Failure, has_filled, in_earnest};
use std::future::Future;
use std::process::ExitCode;

/// Two runs on one machine differ by that part: less than that is no miss.
const NOISE: f64 = 0.1;

/// Of the ratios that rounds measured, the one in the middle: two programs that ran one after the other in one round had the
/// same machine, the best of each over all rounds had not.
pub(crate) fn middle(mut ratios: Vec<f64>) -> f64 {
    ratios.sort_by(f64::total_cmp);
    ratios.get(ratios.len() / 2).copied().unwrap_or_default()
}

/// The goals that were missed, in words.
#[derive(Default)]
pub(crate) struct Goals {
    missed: Vec<String>,
}

impl Goals {
    /// This should be at least so much.
    pub(crate) fn at_least(&mut self, what: &str, goal: f64, is: f64) {
        self.judge(
            is >= goal * (1.0 - NOISE),
            what,
            is,
            &format!("at least {goal}"),
        );
    }

    /// This should be at most so much.
    pub(crate) fn at_most(&mut self, what: &str, goal: f64, is: f64) {
        self.judge(
            is <= goal * (1.0 + NOISE),
            what,
            is,
            &format!("at most {goal}"),
        );
    }

    fn judge(&mut self, is_met: bool, what: &str, is: f64, goal: &str) {
        // A few events say nothing.
        if !is_met && in_earnest() {
            self.missed.push(format!("{what}: {is:.2}, goal {goal}"));
        }
    }
}

/// Runs a bench. In the child that only fills its store, that is all.
pub(crate) fn measured(
    name: &str,
    measure: impl Future<Output = Result<Goals, Failure>>,
) -> ExitCode {
    if has_filled() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let measured = runtime
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(measure));
    match measured {
        Ok(Goals { missed }) => {
            for goal in &missed {
                println!("{name}: MISSED {goal}");
            }
            ExitCode::from(u8::from(!missed.is_empty()))
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(69)
        }
    }
}
