//! `millgate demo`: a simulated press cell, the gateway and a small MES on loopback, with nothing to set up.
//!
//! Called by `main`, which hands in the gateway as a function of a settings file and a stop signal. Events are shown
//! as the MES takes them; at the end stands what the press did against what the MES knows.

mod attended;
mod cable;
mod cell;
mod curve;
pub mod ledger;
pub mod mes;
pub mod press;
mod scanner;
pub mod server;
mod sketch;
mod summary;
mod workplace;

pub use summary::Summary;

use super::{Exit, Failure, run, terminal};
use crate::format;
use crate::gateway::Account;
use crate::settings::Period;
use anyhow::Context;
use cable::{Cable, Plug};
use cell::{CellServer, SharedCell};
use ledger::Counts;
use mes::{Mes, MesServer, News, Outage};
use press::Press;
use scanner::Scanner;
use server::{PressServer, SharedPress};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use workplace::{Places, ShiftChange, Workplace};

/// How often it is looked whether all has arrived.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Longest wait for the gateway to read press and cell.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// Longest wait for the last events; enough for an outage and the longest back-off behind it.
const CATCH_UP: Duration = Duration::from_secs(60);
/// After the last operation has arrived, the other uplink and the last states have that long.
const LINGER: Duration = Duration::from_millis(1_500);
/// Longest wait for the gateway to stop.
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// Shortest shift: below it there is no whole stroke to see.
const SHORTEST_SHIFT: Duration = Duration::from_secs(2);
/// The cable of the power pack is pulled for so long, where the demo is long enough.
const CABLE_OUT: Duration = Duration::from_secs(5);
/// Width of the curve below a stroke, in characters.
const CURVE_WIDTH: usize = 60;
/// Longest outage of the MES that the demo plays.
const LONGEST_OUTAGE: Duration = Duration::from_secs(6);

/// The arguments of `millgate demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How long the press works, such as 20s or 2min, at least 2s
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = shift)]
    pub run_for: Period,
    /// Send the events to this MQTT broker as well, such as mqtt://127.0.0.1:1883
    #[arg(long, value_name = "URL", value_parser = workplace::broker)]
    pub mqtt: Option<String>,
    /// The MES goes down for a few seconds in the middle
    #[arg(long)]
    pub outage: bool,
    /// Decides what the press does; the same number, the same strokes
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
}

fn shift(text: &str) -> Result<Period, String> {
    let shift = Period::try_from(text.to_owned())?;
    if shift.get() < SHORTEST_SHIFT {
        return Err("too short for a stroke of the press: write 2s or more".into());
    }
    Ok(shift)
}

impl Options {
    /// In the middle third of the time, where it is asked for.
    fn outage(&self) -> Option<Outage> {
        let third = self.run_for.get() / 3;
        self.outage.then(|| Outage {
            after: third,
            lasts: third.min(LONGEST_OUTAGE),
        })
    }
}

/// `millgate demo`: exit code 0 only when the MES knows exactly what the press did, and a broker that was asked for has
/// confirmed all events.
///
/// # Errors
/// When the demo cannot be played, or the books do not agree; that has been told then.
pub(super) fn command(options: &Options) -> Result<(), Failure> {
    let colour = terminal::colours_on_output();
    let summary = run::runtime()?.block_on(async {
        let gateway = async |settings: PathBuf, stop| run::gateway_of(&settings, stop).await;
        demo(options, &mut std::io::stdout(), colour, gateway).await
    });
    match summary {
        Ok(summary) if !summary.agrees() => Err(Failure::told(Exit::Software)),
        Ok(summary) if summary.broker_lacks > 0 => Err(Failure::told(Exit::Unavailable)),
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(Exit::Software, error)),
    }
}

/// Plays the demo and writes to `out`, in colours where `colour` says so. Ctrl-C ends the shift early; a second one
/// ends the demo without waiting for the last events. `gateway` runs on the settings file until the token is
/// cancelled.
///
/// # Errors
/// When there is no port or directory to be had, `out` cannot be written to, or the gateway fails.
pub async fn demo<G>(
    options: &Options,
    out: &mut (dyn Write + Send),
    colour: bool,
    gateway: G,
) -> anyhow::Result<Summary>
where
    G: AsyncFnOnce(PathBuf, CancellationToken) -> anyhow::Result<Account>,
{
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let press = SharedPress::new(Press::new(seed));
    let stage = Stage::set(options, press).await?;
    writeln!(
        out,
        "{}\nPress no. {seed} works for {}; Ctrl-C ends it early. Times are UTC.\n",
        stage.players(),
        String::from(options.run_for),
    )?;
    let summary = stage.play(options, out, colour, gateway).await?;
    writeln!(out, "\n{summary}")?;
    Ok(summary)
}

/// The players, ready to begin.
struct Stage {
    press: SharedPress,
    press_address: SocketAddr,
    cell: SharedCell,
    scanner_path: PathBuf,
    cell_url: String,
    plug: Plug,
    mes: Mes,
    mes_url: String,
    news: mpsc::Receiver<News>,
    servers: JoinSet<std::io::Result<()>>,
    settings: PathBuf,
    workplace: Workplace,
}

impl Stage {
    /// Both servers listen, the settings are written.
    async fn set(options: &Options, press: SharedPress) -> anyhow::Result<Stage> {
        let no_port = "no port on loopback for the demo";
        let press_server = PressServer::bind(press.clone()).await.context(no_port)?;
        let press_address = press_server.address();
        let bound = MesServer::bind(options.outage()).await;
        let (mes_server, news) = bound.context(no_port)?;
        let (mes, mes_url) = (mes_server.mes(), mes_server.url());

        let scanner = Scanner::plug_in(press.clone())?;
        let workplace = Workplace::new()?;
        let cell = SharedCell::default();
        let cell_server = CellServer::bind(&cell, &workplace.cell()).await?;
        let (cable, plug) = Cable::bind(press_address).await.context(no_port)?;
        let settings = workplace.write_settings(&Places {
            modbus_port: press_address.port(),
            hydraulics_port: cable.address().context(no_port)?.port(),
            shift_change: ShiftChange::after(jiff::Timestamp::now().as_second()),
            scanner: scanner.path(),
            opc_ua_url: cell_server.url(),
            mes_url: &mes_url,
            mqtt_url: options.mqtt.as_deref(),
        })?;
        let mut servers = JoinSet::new();
        servers.spawn(press_server.run());
        servers.spawn(cable.run());
        servers.spawn(mes_server.run());
        let scanner_path = scanner.path().to_owned();
        let cell_url = cell_server.url().to_owned();
        servers.spawn(scanner.run());
        servers.spawn(cell_server.run());
        Ok(Stage {
            press,
            press_address,
            cell,
            scanner_path,
            cell_url,
            plug,
            mes,
            mes_url,
            news,
            servers,
            settings,
            workplace,
        })
    }

    /// The three ways in and the way out, a line each.
    fn players(&self) -> String {
        let line = |who: &str, how: &str, place: &str| format!("  {who:<28}{how:<13}{place}\n");
        let scanner = self.scanner_path.display().to_string();
        [
            "The gateway reads, with nothing to set up:\n",
            &line(
                "PRESS-04, a press",
                "Modbus TCP",
                &self.press_address.to_string(),
            ),
            &line("  its barcode scanner", "serial line", &scanner),
            &line(
                "  its power pack",
                "Modbus TCP",
                "over a cable that is pulled once",
            ),
            &line("DEBURR-02, a deburring cell", "OPC UA", &self.cell_url),
            "and tells what was done to:\n",
            &line("a small MES", "HTTP", &self.mes_url),
            "What waits for it lies on disk; while the demo runs, another terminal shows it:\n",
            &format!(
                "  millgate buffer status {}\n",
                self.workplace.store().display()
            ),
        ]
        .concat()
    }

    /// The shift, the wait for the last events, the end of the gateway.
    async fn play<G>(
        mut self,
        options: &Options,
        out: &mut (dyn Write + Send),
        colour: bool,
        gateway: G,
    ) -> anyhow::Result<Summary>
    where
        G: AsyncFnOnce(PathBuf, CancellationToken) -> anyhow::Result<Account>,
    {
        let stop = CancellationToken::new();
        let mut gateway = pin!(gateway(self.settings.clone(), stop.clone()));
        let mut act = Act::Waiting(Instant::now() + READ_WITHIN);
        let mut look = tokio::time::interval(LOOK_EVERY);
        let deaf = "signals cannot be listened for";
        let mut interrupt = signal(SignalKind::interrupt()).context(deaf)?;
        let mut terminate = signal(SignalKind::terminate()).context(deaf)?;
        let account = loop {
            tokio::select! {
                Some(news) = self.news.recv() => writeln!(out, "{}", told(&news, colour))?,
                ended = &mut gateway => {
                    let account = ended?;
                    anyhow::ensure!(matches!(act, Act::Stopping(_)), "the gateway stopped by itself");
                    break account;
                }
                Some(ended) = self.servers.join_next() => {
                    ended?.context("the press or the MES of the demo failed")?;
                    anyhow::bail!("the press or the MES of the demo stopped by itself");
                }
                Some(()) = interrupt.recv() => act = act.hurried(),
                Some(()) = terminate.recv() => act = act.hurried(),
                _ = look.tick() => {}
            }
            act = self.next(act, options.run_for.get(), &stop)?;
            self.plug.set(!act.cable_is_out(options.run_for.get()));
        };
        while let Ok(news) = self.news.try_recv() {
            writeln!(out, "{}", told(&news, colour))?;
        }
        Ok(self.summary(&account))
    }

    /// What comes now. Nothing here waits.
    fn next(&self, act: Act, shift: Duration, stop: &CancellationToken) -> anyhow::Result<Act> {
        let now = Instant::now();
        Ok(match act {
            Act::Waiting(_) if self.press.is_read() && self.cell.is_read() => {
                Act::Shift(now + shift)
            }
            Act::Waiting(end) if now >= end => {
                anyhow::bail!("the gateway does not read the press and the cell")
            }
            Act::Shift(end) if now >= end => {
                self.press.finish();
                self.cell.finish();
                Act::CatchingUp(now + CATCH_UP)
            }
            Act::CatchingUp(end) if self.all_arrived() || now >= end => {
                Act::Lingering(now + LINGER)
            }
            Act::Lingering(end) if now >= end => {
                stop.cancel();
                Act::Stopping(now + STOP_WITHIN)
            }
            Act::Stopping(end) if now >= end => anyhow::bail!("the gateway does not stop"),
            act => act,
        })
    }

    fn all_arrived(&self) -> bool {
        let made = self.press.tally();
        let Counts {
            completed,
            aborted,
            deburred,
            ..
        } = self.mes.counts();
        let cell_is_told = !self.cell.is_working() && deburred >= self.cell.done();
        !self.press.in_stroke()
            && cell_is_told
            && completed + aborted >= made.completed + made.aborted
    }

    fn summary(&self, account: &Account) -> Summary {
        let broker = account
            .uplinks
            .iter()
            .find(|(name, ..)| name == workplace::BROKER);
        Summary {
            press: self.press.tally(),
            deburred: self.cell.done(),
            mes: self.mes.counts(),
            turned_away: self.mes.turned_away(),
            not_shown: self.mes.not_shown(),
            broker_lacks: broker.map_or(0, |(_, account)| account.stored() + account.parked),
        }
    }
}

/// Where the demo is, and until when at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// The gateway has not read press and cell yet.
    Waiting(Instant),
    /// The press works.
    Shift(Instant),
    /// The last stroke ends, the last events arrive.
    CatchingUp(Instant),
    /// All operations have arrived.
    Lingering(Instant),
    /// The gateway stops.
    Stopping(Instant),
}

impl Act {
    /// In the second third of the shift, where that is long enough to be noticed.
    fn cable_is_out(self, shift: Duration) -> bool {
        let Act::Shift(end) = self else { return false };
        let third = shift / 3;
        let pulled = end.checked_sub(third * 2);
        pulled.is_some_and(|pulled| {
            pulled <= Instant::now() && pulled.elapsed() < third.min(CABLE_OUT)
        })
    }

    /// The same act, over now.
    fn hurried(self) -> Act {
        let now = Instant::now();
        match self {
            Act::Waiting(_) | Act::Shift(_) => Act::Shift(now),
            Act::CatchingUp(_) => Act::CatchingUp(now),
            Act::Lingering(_) => Act::Lingering(now),
            Act::Stopping(_) => Act::Stopping(now),
        }
    }
}

/// News as a line; the colour tells at a glance what is good and what is not.
fn told(news: &News, colour: bool) -> String {
    const RED: &str = "31";
    const GREEN: &str = "32";
    const YELLOW: &str = "33";
    const DIM: &str = "2";
    let (line, paint) = match news {
        News::Away => (
            "-- the MES is down; the gateway keeps the events".into(),
            YELLOW,
        ),
        News::Back => ("-- the MES is back".into(), YELLOW),
        News::Event(event) => {
            let kind = event.get("type").and_then(serde_json::Value::as_str);
            let verdict = event
                .pointer("/data/verdict")
                .and_then(serde_json::Value::as_str);
            let paint = match (kind, verdict) {
                (Some("millgate.operation.aborted.v1"), _) | (_, Some("fail")) => RED,
                (Some("millgate.operation.completed.v1"), _) => GREEN,
                _ => DIM,
            };
            (format::line(event) + &curve(event), paint)
        }
    };
    match colour {
        true => format!("\u{1b}[{paint}m{line}\u{1b}[0m"),
        false => line,
    }
}

/// The course of the first parameter, on a line of its own.
fn curve(event: &serde_json::Value) -> String {
    let numbers = |what: &str| -> Vec<f64> {
        let list = event.pointer(&format!("/data/parameters/0/profile/{what}"));
        let list = list.and_then(serde_json::Value::as_array);
        list.into_iter()
            .flatten()
            .filter_map(|v| v.as_f64())
            .collect()
    };
    match sketch::sketch(&numbers("t"), &numbers("v"), CURVE_WIDTH) {
        drawn if drawn.is_empty() => drawn,
        drawn => format!("\n{:14}{drawn}", ""),
    }
}

#[cfg(test)]
mod tests;
