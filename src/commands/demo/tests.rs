//! The demo as a whole, with a stand-in for the gateway that asks the press what it did and tells the MES.

use super::*;
use crate::acquire;
use crate::clock::Clock;
use crate::health::Health;
use crate::model::{Content, Value as Read};
use clap::Parser;
use press::Tally;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

fn options(arguments: &[&str]) -> Options {
    Line::parse_from([&["demo"], arguments].concat()).options
}

#[test]
fn the_arguments_have_their_units_and_defaults() {
    let plain = options(&[]);
    assert_eq!(plain.run_for.get(), Duration::from_secs(60));
    assert_eq!(
        (plain.mqtt.as_deref(), plain.seed, plain.outage()),
        (None, None, None)
    );
    let all = options(&[
        "--for", "20s", "--mqtt", "mqtt://b", "--outage", "--seed", "7",
    ]);
    assert_eq!(all.run_for.get(), Duration::from_secs(20));
    assert_eq!(all.mqtt.as_deref(), Some("mqtt://b"));
    let outage = all.outage().unwrap();
    assert!(outage.after + outage.lasts < all.run_for.get());
    for wrong in [
        ["--for", "soon"],
        ["--for", "0s"],
        ["--for", "1999ms"],
        ["--mqtt", "http://x"],
    ] {
        assert!(
            Line::try_parse_from([&["demo"], &wrong[..]].concat()).is_err(),
            "{wrong:?}"
        );
    }
}

/// Reads press and cell so that their time runs, and posts an event for each stroke that it made.
struct StandIn {
    press: SharedPress,
    cell: SharedCell,
    mes_url: String,
    seq: u64,
}

impl StandIn {
    async fn run(mut self, stop: CancellationToken, modbus: std::net::SocketAddr) {
        let mut plc = TcpStream::connect(modbus).await.unwrap();
        let read_status = [0, 1, 0, 0, 0, 6, 1, 3, 0, 100, 0, 1];
        let mut told = Tally::default();
        let mut ordinal = 0;
        while !stop.is_cancelled() {
            plc.write_all(&read_status).await.unwrap();
            plc.read_exact(&mut [0; 11]).await.unwrap();
            if !self.cell.is_read() {
                // Once: it stays at rest.
                self.cell.read();
            }
            let done = self.press.tally();
            while told.completed + told.aborted < done.completed + done.aborted {
                ordinal += 1;
                let body = if told.completed < done.completed {
                    told.completed += 1;
                    let over = told.over_limit < done.over_limit;
                    told.over_limit += u64::from(over);
                    ("completed", if over { "fail" } else { "pass" })
                } else {
                    told.aborted += 1;
                    ("aborted", "undetermined")
                };
                self.post(ordinal, body).await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn post(&mut self, ordinal: u64, (how, verdict): (&str, &str)) {
        self.seq += 1;
        let event = json!({
            "specversion": "1.0",
            "id": uuid::Uuid::from_u128(u128::from(self.seq)).to_string(),
            "source": "urn:demo:gw:demo-gw01",
            "type": format!("millgate.operation.{how}.v1"),
            "subject": "PRESS-04/1",
            "time": "2026-11-22T09:14:02Z",
            "sequence": format!("0000000001.{:020}", self.seq),
            "data": {
                "operation": {
                    "name": "form",
                    "ordinal": ordinal,
                    "parts": [{ "id": scanner::code(ordinal) }],
                },
                "verdict": verdict,
            },
        })
        .to_string();
        let address = self
            .mes_url
            .trim_start_matches("http://")
            .trim_end_matches("/events");
        let mut mes = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "POST /events HTTP/1.1\r\nHost: mes\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{event}",
            event.len()
        );
        mes.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        mes.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

fn nothing_done() -> Account {
    Account {
        accepted: 0,
        uplinks: Vec::new(),
    }
}

async fn played(arguments: &[&str]) -> (anyhow::Result<Summary>, String) {
    let press = SharedPress::new(Press::new(5));
    let options = options(arguments);
    let stage = Stage::set(&options, press.clone()).await.unwrap();
    let stand_in = StandIn {
        press,
        cell: stage.cell.clone(),
        mes_url: stage.mes_url.clone(),
        seq: 0,
    };
    let modbus = stage.press_address;
    let mut out = Vec::new();
    let gateway = async move |settings: PathBuf, stop: CancellationToken| {
        assert!(settings.is_file());
        stand_in.run(stop, modbus).await;
        Ok(nothing_done())
    };
    let summary = stage.play(&options, &mut out, false, gateway).await;
    (summary, String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn at_the_end_the_mes_knows_what_the_press_did() {
    let (summary, shown) = played(&["--for", "4s"]).await;
    let summary = summary.unwrap();
    assert!(summary.agrees(), "{summary}");
    let strokes = summary.press.completed + summary.press.aborted;
    assert!(strokes >= 1, "{summary}");
    assert_eq!(summary.mes.accepted, strokes);
    assert_eq!(shown.lines().count(), usize::try_from(strokes).unwrap());
    assert!(
        shown.starts_with("09:14:02.000  PRESS-04/1  form #1 "),
        "{shown}"
    );
}

#[tokio::test]
async fn a_gateway_that_fails_or_stops_ends_the_demo_with_its_word() {
    let options = options(&["--for", "60s"]);
    for (result, said) in [
        (
            Err(anyhow::anyhow!("the store is locked")),
            "the store is locked",
        ),
        (Ok(nothing_done()), "the gateway stopped by itself"),
    ] {
        let mut out = Vec::new();
        let gateway = async move |_: PathBuf, _: CancellationToken| result;
        let error = demo(&options, &mut out, false, gateway).await.unwrap_err();
        assert_eq!(error.to_string(), said);
    }
}

/// The settings of the demo, the driver and the simulated registers mean the same places.
#[tokio::test]
async fn the_gateway_reads_what_the_press_shows() {
    let press = SharedPress::new(Press::new(5));
    let stage = Stage::set(&options(&[]), press.clone()).await.unwrap();
    press.finish();
    // A part that nobody scanned gives no sample.
    let text = std::fs::read_to_string(&stage.settings).unwrap();
    let plant = crate::settings::load(&text).unwrap().plant;
    let health = Health::new(plant.devices.len(), plant.uplinks.len());
    let (out, mut batches) = mpsc::channel(16);
    let stop = CancellationToken::new();
    let mut links = JoinSet::new();
    for link in acquire::links(&plant, &health, &Clock::system()) {
        links.spawn(link.run(out.clone(), stop.clone()));
    }

    let mut seen = std::collections::BTreeMap::new();
    let all = async {
        while seen.len() < plant.tags.len() - 1 {
            let batch = batches.recv().await.unwrap();
            let Content::Samples(samples) = batch.content else {
                continue;
            };
            for sample in samples {
                let tag = &plant.tags[sample.tag.index()];
                seen.insert(tag.name.clone(), sample.usable().cloned());
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .unwrap();
    stop.cancel();

    assert_eq!(seen["status"], Some(Read::Int(32)));
    assert_eq!(seen["fault"], Some(Read::Int(0)));
    assert_eq!(seen["cell_state"], Some(Read::Int(1)));
    assert_eq!(seen["parts_done"], Some(Read::Int(0)));
    assert_eq!(seen["strokes"], Some(Read::Int(0)));
    assert_eq!(seen["order_no"], Some(Read::Text("WO-100482".into())));
    assert_eq!(seen["pressure"], Some(Read::Float(4.0)));
    assert_eq!(seen["ram"], Some(Read::Float(0.0)));
    let oil = seen["oil"].as_ref().and_then(Read::number).unwrap();
    assert!((41.0..52.0).contains(&oil), "{oil}");
}

#[test]
fn colours_stand_around_the_line_and_never_in_it() {
    let event = |kind: &str, verdict: &str| {
        let event: Value = json!({ "type": kind, "data": { "verdict": verdict } });
        News::Event(Box::new(event))
    };
    let cases = [
        (
            event("millgate.operation.completed.v1", "pass"),
            "\u{1b}[32m",
        ),
        (
            event("millgate.operation.completed.v1", "fail"),
            "\u{1b}[31m",
        ),
        (
            event("millgate.operation.aborted.v1", "undetermined"),
            "\u{1b}[31m",
        ),
        (event("millgate.gateway.birth.v1", ""), "\u{1b}[2m"),
        (News::Away, "\u{1b}[33m"),
    ];
    for (news, paint) in cases {
        let line = told(&news, true);
        assert!(
            line.starts_with(paint) && line.ends_with("\u{1b}[0m"),
            "{line:?}"
        );
        assert!(!told(&news, false).contains('\u{1b}'));
    }
}
