//! Beats a stage's pulse from outside, for stages that wait for others: links and uplinks. Called by the gateway.

use crate::health::BEAT_EVERY;
use std::future::Future;
use std::pin::pin;
use tokio::time::{MissedTickBehavior, interval};

/// Runs `stage` and calls `beat` every [`BEAT_EVERY`], each time after the stage was asked whether it can go on and came
/// back.
///
/// So it proves that the task is run, does not block its thread and has not ended. It does not prove that what the stage
/// waits for will come: that is what its own time-outs are for, and a MES that is away must not look like a stall. A stage
/// that waits for nobody outside (aggregation, the buffer) beats at each turn of its own loop instead. As cancel-safe as
/// `stage` is.
pub async fn beating<F: Future>(stage: F, mut beat: impl FnMut()) -> F::Output {
    let mut stage = pin!(stage);
    let mut beats = interval(BEAT_EVERY);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            output = &mut stage => return output,
            _ = beats.tick() => beat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_stage_that_waits_is_beaten_and_one_that_ended_is_not() {
        let beats = Cell::new(0);
        let stage = async {
            tokio::time::sleep(Duration::from_secs(61)).await;
            "done"
        };
        assert_eq!(beating(stage, || beats.set(beats.get() + 1)).await, "done");
        assert_eq!(beats.get(), 13, "at once, then every 5 s");
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(beats.get(), 13);
    }
}
