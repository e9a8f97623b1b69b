//! The system test: a press in pymodbus, the gateway as a process, mosquitto, a small MES over HTTP.
//!
//! About 200 strokes. In the middle the network to both destinations is cut for 30 s, and during the outage the gateway is
//! killed with a stroke open and started again. Nothing may be lost, come twice after deduplication, or come out of order.
//! It waits for what others do, never for time: the press paces itself by how often it is read.

mod full_disk;
pub(crate) mod peers;
mod proxy;
mod receivers;
mod turned_read_only;
mod verdict;

use crate::conserved;
use crate::recorder::{Recorder, Spoken};
use peers::{Broker, Gateway, Press, wait_until};
use proxy::Proxy;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_modbus::client::{Reader, tcp};
use tokio_modbus::prelude::{Slave, SlaveContext};
use verdict::Received;

const OUTAGE: Duration = Duration::from_secs(30);
/// Strokes before the outage, in it before the kill, in it after the kill, after it; one more is open at the kill.
const STROKES: [u64; 4] = [70, 40, 50, 39];
const ALL_STROKES: u64 = STROKES[0] + STROKES[1] + 1 + STROKES[2] + STROKES[3];
/// "Ready in 2 s", with slack for a machine that compiles beside it.
const MOST_TO_READY: Duration = Duration::from_secs(20);
/// Window of both uplinks.
const WINDOW: usize = 64;
/// Connections that were lost with events on the way: the cut, the kill, the last stop.
const LOST_CONNECTIONS: usize = 3;

const COMPLETED: &str = "millgate.operation.completed.v1";
const BIRTH: &str = "millgate.gateway.birth.v1";

/// Settings of the press with both uplinks.
pub(crate) fn settings(store: &Path, press: u16, broker: u16, mes: u16) -> String {
    let store = store.display();
    format!(
        r#"
gateway: {{ id: plant1-gw01, path: [EXAMPLE, PLANT1, PRESSHOP] }}
machine: PRESS-04
devices:
  plc:
    modbus_tcp: {{ host: 127.0.0.1, port: {press}, unit: 1, timeout: 2s }}
    addresses: zero_based
    byte_order: CDAB
    lost_after: 20s
    tags:
      status:   {{ holding: 100, every: 20ms }}
      fault:    {{ holding: 101, every: 200ms }}
      strokes:  {{ holding: 110, every: 100ms }}
      pressure: {{ input: 200, type: f32, every: 20ms, unit: bar, range: [0, 400], interpolation: linear }}
equipment:
  state:
    - {{ when: "bit(status, 7)", is: FAULTED, reason: {{ tag: fault }} }}
    - {{ when: "bit(status, 0)", is: RUNNING }}
    - {{ when: "!bit(status, 5)", is: OFFLINE }}
    - {{ is: STOPPED }}
  counters:
    strokes: {{ tag: strokes, counts: cycles, modulus: 65536, max_rate: 20/s }}
operations:
  form:
    segment: {{ value: "0020" }}
    start: {{ when: "bit(status, 0)" }}
    end: {{ when: "!bit(status, 0)" }}
    recovery_counter: strokes
    parameters:
      forming_pressure: {{ tag: pressure, profile: 50, percentiles: [50, 95] }}
    quality:
      - {{ id: "0020-10", of: forming_pressure.max, low: 0, high: 260 }}
buffer: {{ path: {store}, generation_size: 4MiB }}
uplinks:
  broker:
    mqtt: {{ url: "mqtt://127.0.0.1:{broker}", version: 5, window: {WINDOW} }}
  mes:
    http: {{ url: "http://127.0.0.1:{mes}/events" }}
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stroke_arrives_through_an_outage_and_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (Some(mut press), Some(broker)) = (Press::start(), Broker::start(folder)) else {
        return;
    };
    // Whatever the gateway asks the press goes through here, and the test fails at anything but a read.
    let wire = Recorder::to_port(press.port, Spoken::ModbusTcp).await;
    let at_the_broker = receivers::subscribe(broker.port).await;
    let (mes_port, at_the_mes) = receivers::serve_mes().await;
    let networks = [
        Proxy::start(broker.port).await,
        Proxy::start(mes_port).await,
    ];
    let file = folder.join("gateway.yaml");
    let text = settings(
        &folder.join("state"),
        wire.port,
        networks[0].port,
        networks[1].port,
    );
    std::fs::write(&file, text).unwrap();
    let inboxes = [&at_the_broker, &at_the_mes];
    let completed = |strokes: u64| {
        let arrived = || inboxes.map(|it| it.count(COMPLETED) as u64);
        receivers::wait_for(strokes, arrived, || inboxes.map(receivers::Inbox::last));
    };

    let mut gateway = Gateway::start(folder, &file, "first");
    let mut to_ready = vec![gateway.ready()];
    play(&mut press, STROKES[0]);
    completed(STROKES[0]);

    for network in &networks {
        network.cut().await;
    }
    let cut = Instant::now();
    play(&mut press, STROKES[1]);
    press.order("hold", "holding");
    gateway.kill();
    let mut gateway = Gateway::start(folder, &file, "second");
    to_ready.push(gateway.ready());
    press.order("look 10", "looked 10");
    press.order("release", "released");
    let before = inboxes.map(|it| it.events().len());
    press.tell(&format!("go {}", STROKES[2]));
    tokio::time::sleep(OUTAGE.saturating_sub(cut.elapsed())).await;
    assert_eq!(
        before,
        inboxes.map(|it| it.events().len()),
        "the network was cut: nothing comes"
    );
    networks.iter().for_each(Proxy::mend);
    press.expect(&format!("done {}", STROKES[2]));

    play(&mut press, STROKES[3]);
    completed(ALL_STROKES);
    let told = gateway.told();
    assert!(
        told.contains("WATCHDOG=1") && !told.contains("trigger"),
        "{told}"
    );
    let status = gateway.stop();
    assert!(status.success(), "SIGTERM: {status}");

    // The birth of a third run is the event after the last accepted one: when everything up to it has come, everything that
    // was ever accepted has been delivered, and nothing is left in the store.
    let mut gateway = Gateway::start(folder, &file, "third");
    to_ready.push(gateway.ready());
    wait_until("the third birth has arrived at both", || {
        inboxes.iter().all(|it| it.count(BIRTH) == 3)
    });
    assert!(gateway.stop().success(), "SIGTERM of the third run");

    for time in &to_ready {
        assert!(*time < MOST_TO_READY, "ready after {to_ready:?}");
    }
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/format/event.schema.json");
    let schema = serde_json::from_slice(&std::fs::read(schema).unwrap()).unwrap();
    println!("ready after {to_ready:?}");
    println!("asked: {:?}", wire.requests());
    for (who, uplink, inbox) in [
        ("the broker", "broker", &at_the_broker),
        ("the MES", "mes", &at_the_mes),
    ] {
        let received = Received::new(who, inbox.events());
        let arrived = received.sequences();
        conserved::check_arrived(&folder.join("state"), uplink, &arrived, WINDOW);
        received.check_schema(&schema);
        let delivered = received.check_gapless();
        received.check_order();
        received.check_strokes(ALL_STROKES);
        check_the_stroke_of_the_kill(&received);
        assert!(
            received.repeats <= WINDOW * LOST_CONNECTIONS,
            "{who}: {} repeats",
            received.repeats
        );
        println!(
            "{who}: {delivered} events, each accepted one delivered; {} repeats",
            received.repeats
        );
    }
}

fn play(press: &mut Press, strokes: u64) {
    press.order(&format!("go {strokes}"), &format!("done {strokes}"));
}

/// The stroke that was open when the gateway was killed is one stroke, and says what happened to it.
fn check_the_stroke_of_the_kill(received: &Received) {
    let ordinal = STROKES[0] + STROKES[1] + 1;
    let stroke = received
        .of(COMPLETED)
        .find(|event| event["data"]["operation"]["ordinal"] == ordinal)
        .unwrap();
    assert_eq!(stroke["data"]["operation"]["recovered"], true, "{stroke:#}");
}

#[tokio::test]
async fn the_press_plays_as_it_is_told() {
    let Some(mut press) = Press::start() else {
        return;
    };
    let address = ([127, 0, 0, 1], press.port).into();
    let mut plc = tcp::connect(address).await.unwrap();
    plc.set_slave(Slave(1));
    press.tell("go 2");
    let (mut edges, mut running, mut strokes, mut peak) = (0, false, 0, 0.0f32);
    while strokes < 2 {
        let words = plc.read_holding_registers(100, 11).await.unwrap().unwrap();
        let pressure = plc.read_input_registers(200, 2).await.unwrap().unwrap();
        peak = peak.max(f32::from_bits(
            u32::from(pressure[1]) << 16 | u32::from(pressure[0]),
        ));
        edges += u32::from(running != (words[0] & 1 != 0));
        running = words[0] & 1 != 0;
        strokes = words[10];
        assert_eq!(words[0] & 1 << 5, 1 << 5, "powered");
    }
    assert_eq!(edges, 4, "two strokes have two beginnings and two ends");
    assert!((1.0..=240.0).contains(&peak), "{peak} bar");
    for _ in 0..3 {
        plc.read_holding_registers(100, 1).await.unwrap().unwrap();
    }
    press.expect("done 2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_network_can_be_cut_and_mended() {
    use std::io::{Read, Write};
    let (port, inbox) = receivers::serve_mes().await;
    let network = Proxy::start(port).await;
    let request = "POST /events HTTP/1.1\r\ncontent-type: application/cloudevents+json\r\n\
                   idempotency-key: \"1\"\r\ncontent-length: 19\r\n\r\n{\"id\":\"1\",\"type\":1}";
    let post = |stream: &mut std::net::TcpStream| {
        let mut answer = [0; 38];
        stream.write_all(request.as_bytes()).is_ok() && stream.read_exact(&mut answer).is_ok()
    };
    let connect = || std::net::TcpStream::connect(("127.0.0.1", network.port)).unwrap();
    let mut stream = connect();
    assert!(post(&mut stream));
    network.cut().await;
    assert!(!post(&mut stream), "an open connection is cut");
    assert!(!post(&mut connect()), "a new one too");
    network.mend();
    assert!(post(&mut connect()));
    assert_eq!(inbox.events().len(), 2);
}
