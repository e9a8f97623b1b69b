//! Joins the stages: opens the store, starts each stage in its own task, and stops them in order.
//!
//! On a stop only the two ends hear the signal: reading ends, delivery sends nothing new. The middle ends when its input
//! ends, so what was read reaches the disk. A task that panics ends the gateway: never half of one.

pub mod control;
mod rates;

use crate::acquire::{self, Link};
use crate::aggregate::{self, Aggregate, Start};
use crate::buffer::engine::Medium;
use crate::buffer::inspect::Inspector;
use crate::buffer::{self, OpenOptions, Outlet, Quota, Stopped, Store, StoreError};
use crate::clock::{self, Clock};
use crate::deliver::{self, Prepared, SetupError, Timing};
use crate::format::Renderer;
use crate::health::Health;
use crate::model::{EpochReason, Restored, Turn};
use crate::observe::{self, Phases, Pulses, Systemd};
use crate::settings::{Plant, Problem};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

/// Batches that may wait for aggregation. At design load (10,000 samples/s in batches of some 20) about half a second.
const BATCHES: usize = 256;

/// How long the buffer may take to say why it ended.
const BUFFER_LAST_WORD: Duration = Duration::from_secs(2);

/// Between two attempts to open the store on a full disk, at the most.
const OPEN_AGAIN: Duration = Duration::from_secs(5);
/// Between two lines in the log about that.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Why a gateway did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Conditions of the settings are wrong.
    #[error("the conditions of the settings have problems")]
    Conditions(Vec<Problem>),
    /// An uplink of the settings cannot be used.
    #[error(transparent)]
    Uplink(#[from] SetupError),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The service manager's socket cannot be used.
    #[error("the socket that NOTIFY_SOCKET names cannot be used: {0}")]
    Systemd(std::io::Error),
    /// A stage panicked: an error in the program.
    #[error("{0} ended unexpectedly: please report the log lines before this one")]
    Panicked(&'static str),
}

/// What a gateway did in one run: for the last log line, and for whoever counts.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Events made durable in this run.
    pub accepted: u64,
    /// Per uplink: name, and where its events went since the store knows it.
    pub uplinks: Vec<(String, buffer::Account)>,
}

/// Everything that is checked and opened before the first task starts.
struct Opened {
    store: Store,
    aggregate: Aggregate,
    uplinks: Vec<Prepared>,
    links: Vec<Link>,
}

/// A gateway that works.
struct Running {
    acquire: JoinSet<()>,
    aggregate: JoinSet<()>,
    buffer: JoinSet<Result<Stopped, StoreError>>,
    deliver: JoinSet<()>,
    observe: JoinSet<()>,
    reading: CancellationToken,
    delivering: CancellationToken,
    phases: Phases,
}

/// Looks at settings as a start would, without opening the store: conditions and uplinks.
///
/// # Errors
/// What a start would say.
pub fn check(plant: &Plant) -> Result<(), GatewayError> {
    let problems = aggregate::check(plant);
    if !problems.is_empty() {
        return Err(GatewayError::Conditions(problems));
    }
    prepare(plant).map(drop)
}

/// Runs until `stop`, or until something goes wrong that it cannot mend. `phases` tells how far it is.
///
/// # Errors
/// See [`GatewayError`]. What was accepted is safe on disk whatever the error.
pub async fn run(
    plant: Plant,
    stop: CancellationToken,
    phases: Phases,
) -> Result<Account, GatewayError> {
    let clock = Clock::system();
    let health = Health::new(plant.devices.len(), plant.uplinks.len());
    let systemd = Systemd::from_environment().map_err(GatewayError::Systemd)?;
    let Some(opened) = open_patiently(&plant, &health, &clock, &systemd, &stop).await? else {
        info!("stopped before there was room for the store");
        return Ok(Account::default());
    };
    let mut running = Running::start(opened, &plant, &health, &clock, systemd, phases);
    running.phases.ready.cancel();
    info!(gateway = %plant.gateway.id, machines = plant.machines.len(), tags = plant.tags.len(), "running");
    let failed = tokio::select! {
        () = stop.cancelled() => None,
        failed = running.failure() => Some(failed),
    };
    let stopped = running.stop().await;
    if let Some(failed) = failed {
        return Err(failed);
    }
    let stopped = stopped?;
    let account = account(&plant, &health, &stopped);
    tell(&account, stopped.unstored);
    Ok(account)
}

/// Opens everything. On a full disk it waits for room instead of ending: a restart makes none. `None` when it is to stop
/// before there is any.
async fn open_patiently(
    plant: &Plant,
    health: &Health,
    clock: &Clock,
    systemd: &Systemd,
    stop: &CancellationToken,
) -> Result<Option<Opened>, GatewayError> {
    let mut said: Option<Instant> = None;
    let refusing = &health.buffer.refusing;
    loop {
        let why = match open(plant, health, clock) {
            Err(GatewayError::Store(error @ StoreError::Full(_))) => error.to_string(),
            result => {
                refusing.end(clock.now());
                return result.map(Some);
            }
        };
        refusing.begin(clock.now(), &why);
        if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            said = Some(Instant::now());
            error!("the store cannot be opened, so the machines are not read: {why}");
        }
        observe::waits(systemd, &why);
        let pause = systemd.watchdog().map_or(OPEN_AGAIN, |it| it / 3);
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = sleep(pause.min(OPEN_AGAIN)) => {}
        }
    }
}

fn open(plant: &Plant, health: &Health, clock: &Clock) -> Result<Opened, GatewayError> {
    let problems = aggregate::check(plant);
    if !problems.is_empty() {
        return Err(GatewayError::Conditions(problems));
    }
    let uplinks = prepare(plant)?;
    let (store, restored) = Store::open(&OpenOptions {
        path: plant.buffer.path.clone(),
        generation_bytes: plant.buffer.generation_size.0,
        uplinks: plant
            .uplinks
            .iter()
            .map(|uplink| (uplink.name.clone(), uplink.start_at))
            .collect(),
        quota: Quota {
            max_bytes: plant.buffer.max_size.0,
            max_age: plant.buffer.max_age.get(),
            keep_delivered: plant.buffer.keep_delivered.get(),
        },
        machine_id: buffer::machine_id(),
        health: Arc::clone(&health.buffer),
        medium: Medium::sled(),
    })?;
    match store.new_epoch() {
        None => {}
        Some(EpochReason::Created) => info!(path = %plant.buffer.path.display(), "a new store"),
        Some(why) => warn!(why = why.words(), next = %restored.next, "numbering begins anew"),
    }
    let aggregate = resume(plant, restored, health, clock)?;
    Ok(Opened {
        store,
        aggregate,
        uplinks,
        links: acquire::links(plant, health, clock),
    })
}

fn prepare(plant: &Plant) -> Result<Vec<Prepared>, GatewayError> {
    let uplinks = plant.uplinks.iter();
    let prepared = uplinks.map(|it| deliver::prepare(&plant.gateway, it, Timing::default()));
    Ok(prepared.collect::<Result<Vec<_>, _>>()?)
}

fn resume(
    plant: &Plant,
    restored: Restored,
    health: &Health,
    clock: &Clock,
) -> Result<Aggregate, GatewayError> {
    let start = Start {
        now: clock.now(),
        boot_id: clock::boot_id(),
        clock: clock.quality(),
    };
    let mut aggregate = Aggregate::new(plant, restored, start, Arc::clone(&health.aggregate))
        .map_err(GatewayError::Conditions)?;
    let names = plant.uplinks.iter().map(|uplink| uplink.name.clone());
    aggregate.watch_uplinks(names.zip(health.uplinks.iter().cloned()));
    aggregate.watch_buffer(Arc::clone(&health.buffer));
    Ok(aggregate)
}

impl Running {
    fn start(
        opened: Opened,
        plant: &Plant,
        health: &Arc<Health>,
        clock: &Clock,
        systemd: Systemd,
        phases: Phases,
    ) -> Running {
        let mut running = Running {
            acquire: JoinSet::new(),
            aggregate: JoinSet::new(),
            buffer: JoinSet::new(),
            deliver: JoinSet::new(),
            observe: JoinSet::new(),
            reading: CancellationToken::new(),
            delivering: CancellationToken::new(),
            phases,
        };
        let (batches, batches_end) = mpsc::channel(BATCHES);
        for link in opened.links {
            let reading = running.reading.clone();
            let (cells, clock) = (Arc::clone(health), clock.clone());
            let devices: Vec<_> = link.devices().collect();
            let beat = move || {
                let served = devices
                    .iter()
                    .filter_map(|id| cells.devices.get(id.index()));
                served.for_each(|device| device.pulse.beat(clock.now().boot));
            };
            let link = link.run(batches.clone(), reading);
            running.acquire.spawn(observe::beating(link, beat));
        }
        let (turns, turns_end) = mpsc::channel(buffer::TURNS);
        let cells = Arc::clone(&health.aggregate);
        running.aggregate.spawn(aggregate::run(
            opened.aggregate,
            batches_end,
            turns,
            clock.clone(),
            move |now| cells.pulse.beat(now.boot),
        ));
        let (outlets, inspector) = running.start_buffer(opened.store, turns_end, plant, clock);
        // It ends with the first step of a stop, before the buffer waits for whoever may still ask.
        let stopping = running.phases.stopping.clone();
        let answering = control::run(plant.clone(), inspector, Arc::clone(health), stopping);
        running.observe.spawn(answering);
        for (index, (prepared, outlet)) in opened.uplinks.into_iter().zip(outlets).enumerate() {
            let cells = health.uplinks.get(index).cloned().unwrap_or_default();
            let delivering = running.delivering.clone();
            let (pulse, clock) = (Arc::clone(&cells), clock.clone());
            let beat = move || pulse.pulse.beat(clock.now().boot);
            let uplink = deliver::run_uplink(prepared, outlet, cells, delivering);
            running.deliver.spawn(observe::beating(uplink, beat));
        }
        let since = clock.now().boot;
        let (plant, cells) = (plant.clone(), Arc::clone(health));
        running.observe.spawn(observe::run(
            systemd,
            running.phases.clone(),
            Arc::clone(health),
            clock.clone(),
            move || Pulses::new(&plant, cells, since),
        ));
        running
    }

    fn start_buffer(
        &mut self,
        store: Store,
        turns: mpsc::Receiver<Turn>,
        plant: &Plant,
        clock: &Clock,
    ) -> (Vec<Outlet>, Inspector) {
        let (outlets, inspector, requests, durable) = buffer::outlets_and_inspector(&store);
        let renderer = Renderer::new(plant);
        let clock = clock.clone();
        let stop = self.phases.stopping.clone();
        self.buffer.spawn_blocking(move || {
            let render = move |event: &_, recorded| {
                let rendered = renderer.render(event, recorded);
                (rendered.envelope, rendered.json)
            };
            buffer::run(store, turns, requests, durable, &render, &clock, stop)
        });
        (outlets, inspector)
    }

    /// Waits for the first stage that ends without being asked to.
    async fn failure(&mut self) -> GatewayError {
        let (ended, stage) = tokio::select! {
            biased;
            Some(ended) = self.buffer.join_next() => return buffer_failure(ended),
            Some(ended) = self.aggregate.join_next() => (ended, "aggregation"),
            Some(ended) = self.deliver.join_next() => (ended, "delivery"),
            Some(ended) = self.acquire.join_next() => (ended, "reading"),
        };
        if let Err(error) = ended {
            error!(stage, %error, "a stage panicked");
            return GatewayError::Panicked(stage);
        }
        // A stage that ends quietly has lost its neighbour: the buffer, which is about to say why.
        match timeout(BUFFER_LAST_WORD, self.buffer.join_next()).await {
            Ok(Some(ended)) => buffer_failure(ended),
            _ => GatewayError::Panicked(stage),
        }
    }

    /// Stops in the order of the flow; what was read is on disk afterwards.
    async fn stop(&mut self) -> Result<Stopped, GatewayError> {
        self.phases.stopping.cancel();
        self.reading.cancel();
        join(&mut self.acquire, "reading").await?;
        join(&mut self.aggregate, "aggregation").await?;
        // Delivery has gone on until now: what came last has had its chance.
        self.delivering.cancel();
        join(&mut self.deliver, "delivery").await?;
        let stopped = match self.buffer.join_next().await {
            Some(Ok(stopped)) => stopped.map_err(GatewayError::Store),
            _ => Err(GatewayError::Panicked("the buffer")),
        };
        join(&mut self.observe, "the status").await?;
        stopped
    }
}

async fn join(stage: &mut JoinSet<()>, name: &'static str) -> Result<(), GatewayError> {
    while let Some(ended) = stage.join_next().await {
        ended.map_err(|_| GatewayError::Panicked(name))?;
    }
    Ok(())
}

fn buffer_failure(ended: Result<Result<Stopped, StoreError>, JoinError>) -> GatewayError {
    match ended {
        Ok(Err(error)) => GatewayError::Store(error),
        Ok(Ok(_)) => GatewayError::Panicked("the buffer"),
        Err(error) => {
            error!(stage = "buffer", %error, "a stage panicked");
            GatewayError::Panicked("the buffer")
        }
    }
}

fn account(plant: &Plant, health: &Health, stopped: &Stopped) -> Account {
    Account {
        accepted: health.buffer.accepted.get(),
        uplinks: plant
            .uplinks
            .iter()
            .zip(&stopped.accounts)
            .map(|(settings, account)| (settings.name.clone(), *account))
            .collect(),
    }
}

fn tell(account: &Account, unstored: u64) {
    if unstored > 0 {
        warn!(
            unstored,
            "the disk was full to the end: the last events could not be stored"
        );
    } else {
        info!(
            accepted = account.accepted,
            "stopped: everything that was read is on disk"
        );
    }
    for (uplink, account) in &account.uplinks {
        info!(uplink = %uplink, offered = account.offered, delivered = account.delivered, filtered = account.filtered,
            parked = account.parked, discarded = account.discarded, dropped = account.dropped.iter().sum::<u64>(),
            waiting = account.stored(), "stopped");
    }
}
