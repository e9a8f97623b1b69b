//! `millgate record`: reads the machines of a settings file and writes what they say as a capture for `millgate replay`.
//!
//! Acquisition alone, as the gateway runs it; nothing is aggregated, stored or sent. All links are driven side by side in
//! this one task. Ctrl-C, the end of `--for` and the size that replay can take end it well.

mod tape;

use super::replay::MAX_CAPTURE_BYTES;
use super::terminal::{self, Progress};
use super::{Exit, Failure, load_settings, run};
use crate::acquire;
use crate::clock::Clock;
use crate::health::Health;
use crate::model::Batch;
use crate::settings::{Period, Plant};
use anyhow::Context;
use futures_util::future::join_all;
use serde_json::json;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tape::{Counts, Tape};
use tokio::select;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

/// Batches that may wait to be written, as in the gateway.
const BATCHES: usize = 256;
/// How often what has settled is written and the person is told.
const WRITE_EVERY: Duration = Duration::from_millis(500);
/// Longest recording; what has no `--for` ends there.
const LONGEST: Duration = Duration::from_secs(100 * 86_400);

/// Record what the machines say, for `millgate replay`.
#[derive(Debug, clap::Args)]
pub struct Record {
    /// The capture to write (JSON Lines); `-` is standard output. A file that exists is not touched.
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// The settings file.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/etc/millgate/gateway.yaml"
    )]
    config: PathBuf,
    /// End after so long, such as 10min; else Ctrl-C ends it.
    #[arg(long = "for", value_name = "TIME", value_parser = super::period)]
    run_for: Option<Period>,
    /// Tell how it went as JSON, on standard error.
    #[arg(long)]
    json: bool,
}

impl Record {
    pub(super) fn run(self) -> Result<(), Failure> {
        let plant = load_settings(&self.config)?.plant;
        let mut out = open(&self.out)?;
        let recorded = run::runtime()?.block_on(async {
            let ends = Ends::new(self.run_for).context("signals cannot be listened for")?;
            let context = || format!("the capture {} cannot be written", self.out.display());
            record(&plant, &mut out, ends).await.with_context(context)
        });
        let counts = recorded.map_err(|error| Failure::new(Exit::Io, error))?;
        self.tell(&counts)?;
        if counts.samples == 0 {
            return Err(Failure::new(
                Exit::Unavailable,
                anyhow::anyhow!("not one value was read; see the log lines before this one"),
            ));
        }
        Ok(())
    }

    fn tell(&self, counts: &Counts) -> Result<(), Failure> {
        let out = self.out.display().to_string();
        if self.json {
            let report = json!({ "capture": out, "recorded": counts });
            return terminal::print_error(&format!("{report:#}\n"));
        }
        let Counts {
            samples, bad, lost, ..
        } = counts;
        let mut words = format!(
            "{out}: {samples} values, {bad} of them bad, {} kB",
            counts.bytes.div_ceil(1_000)
        );
        if *lost > 0 {
            words += &format!("; devices were lost {lost} times");
        }
        if counts.late > 0 {
            words += &format!("; {} lines came too late to be in order", counts.late);
        }
        if counts.bytes >= MAX_CAPTURE_BYTES - ROOM_FOR_THE_END {
            words += "; ended there: no longer capture can be replayed";
        }
        terminal::print_error(&format!("{words}\n"))
    }
}

/// Kept free for the lines that still wait when a capture is as long as it may be.
const ROOM_FOR_THE_END: u64 = 64 << 20;

/// The capture, which must not exist yet.
fn open(path: &Path) -> Result<Box<dyn Write>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufWriter::new(io::stdout())));
    }
    match File::create_new(path) {
        Ok(file) => Ok(Box::new(BufWriter::new(file))),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let exists = anyhow::anyhow!(
                "{} exists and stays as it is: name another file, or remove it",
                path.display()
            );
            Err(Failure::new(Exit::Usage, exists))
        }
        Err(error) => {
            let context = format!("the capture {} cannot be made", path.display());
            let failed = Err::<(), _>(error).context(context);
            Err(failed.map_or_else(
                |error| Failure::new(Exit::Io, error),
                |()| Failure::told(Exit::Io),
            ))
        }
    }
}

/// What ends a recording.
struct Ends {
    at: Instant,
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    fn new(run_for: Option<Period>) -> io::Result<Ends> {
        let longest = run_for.map_or(LONGEST, |period| period.get().min(LONGEST));
        Ok(Ends {
            at: Instant::now() + longest,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the first of them. Cancel-safe.
    async fn come(&mut self) {
        select! {
            () = sleep_until(self.at) => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Reads and writes until one of the ends; what was read by then is written. A reader of standard output that goes away
/// is an end, too.
async fn record(plant: &Plant, out: &mut dyn Write, mut ends: Ends) -> io::Result<Counts> {
    let clock = Clock::system();
    let health = Health::new(plant.devices.len(), 0);
    let stop = CancellationToken::new();
    let (sender, mut batches) = mpsc::channel(BATCHES);
    let links = acquire::links(plant, &health, &clock)
        .into_iter()
        .map(|link| link.run(sender.clone(), stop.clone()));
    let reading = join_all(links);
    drop(sender);
    let mut tape = Tape::begin(plant, clock.now(), out)?;
    let writing = async {
        let ended = write(&mut tape, &mut batches, &clock, &mut ends, &stop, out).await;
        stop.cancel();
        ended
    };
    let both = tokio::try_join!(writing, async {
        reading.await;
        Ok(())
    });
    let counts = tape.counts();
    match both.and_then(|_| tape.end(clock.now().boot, out)) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(counts),
        ended => ended,
    }
}

/// Puts batches on the tape until there are no more of them.
async fn write(
    tape: &mut Tape,
    batches: &mut mpsc::Receiver<Batch>,
    clock: &Clock,
    ends: &mut Ends,
    stop: &CancellationToken,
    out: &mut dyn Write,
) -> io::Result<()> {
    let began = Instant::now();
    let mut tick = interval(WRITE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut progress = Progress::new();
    loop {
        select! {
            batch = batches.recv() => match batch {
                Some(batch) => tape.hear(&batch),
                None => break,
            },
            () = ends.come(), if !stop.is_cancelled() => stop.cancel(),
            _ = tick.tick() => {
                let now = clock.now();
                tape.clock(now, clock.quality().synchronised);
                tape.write(now.boot, out)?;
                let Counts { samples, bytes, .. } = tape.counts();
                progress.show(&format!(
                    "recording for {} s: {samples} values, {} kB; Ctrl-C ends it",
                    began.elapsed().as_secs(),
                    bytes.div_ceil(1_000)
                ));
                if bytes >= MAX_CAPTURE_BYTES - ROOM_FOR_THE_END {
                    stop.cancel();
                }
            }
        }
    }
    progress.clear();
    Ok(())
}
