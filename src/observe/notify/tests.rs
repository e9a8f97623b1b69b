//! Against a stub of the service manager: a datagram socket that keeps what it was told. In paused time.

use super::*;
use crate::model::{BootTime, DeviceId, Stamp, UplinkId};
use crate::settings::{Device, Modbus, ModbusWire, Plant, Protocol, Uplink, UplinkProtocol, shape};
use std::os::unix::net::UnixDatagram;
use tempfile::TempDir;

const WATCHDOG: Duration = Duration::from_secs(30);

/// The service manager's end, and the gateway's.
struct Stub {
    socket: UnixDatagram,
    phases: Phases,
    health: Arc<Health>,
    clock: Clock,
    boot: BootTime,
    _dir: TempDir,
}

impl Stub {
    /// A gateway of one device and one uplink under a manager that wants to be fed every 30 s.
    fn start() -> Stub {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let systemd = Systemd::at(path.as_os_str(), Some(WATCHDOG)).unwrap();
        let boot = BootTime(1_000_000_000_000);
        let stub = Stub {
            socket,
            phases: Phases::default(),
            health: Health::new(1, 1),
            clock: Clock::manual(Stamp::default()),
            boot,
            _dir: dir,
        };
        stub.set_clock();
        let (health, clock) = (stub.health.clone(), stub.clock.clone());
        let pulses = {
            let (health, clock) = (health.clone(), clock.clone());
            move || Pulses::new(&plant(), health, clock.now().boot)
        };
        tokio::spawn(run(systemd, stub.phases.clone(), health, clock, pulses));
        stub
    }

    fn set_clock(&self) {
        self.clock.set(Stamp {
            boot: self.boot,
            ..Stamp::default()
        });
    }

    /// Lets so many seconds pass, one by one, while the named stages beat.
    async fn pass(&mut self, seconds: u64, beating: &[&str]) {
        for _ in 0..seconds {
            self.boot = self.boot.plus(Duration::from_secs(1));
            self.set_clock();
            for stage in beating {
                match *stage {
                    "device" => self.health.devices[0].pulse.beat(self.boot),
                    "aggregation" => self.health.aggregate.pulse.beat(self.boot),
                    "buffer" => self.health.buffer.pulse.beat(self.boot),
                    _ => self.health.uplinks[0].pulse.beat(self.boot),
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// What the manager was told since the last look.
    fn told(&self) -> String {
        let mut all = String::new();
        let mut datagram = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut datagram) {
            all.push_str(std::str::from_utf8(&datagram[..length]).unwrap());
            all.push('\n');
        }
        all
    }
}

const ALL: &[&str] = &["device", "aggregation", "buffer", "uplink"];

fn plant() -> Plant {
    Plant {
        gateway: shape::Gateway {
            id: "gw".into(),
            path: vec!["E".into()],
        },
        machines: Vec::new(),
        devices: vec![Device {
            id: DeviceId(0),
            machine: 0,
            name: "PRESS-04.plc".into(),
            protocol: Protocol::Modbus(Modbus {
                wire: ModbusWire::Tcp {
                    host: "127.0.0.1".into(),
                    port: 502,
                },
                unit: 1,
                timeout: Duration::from_millis(500),
                max_registers: 125,
                max_gap: 16,
            }),
            lost_after: Duration::from_secs(2),
            timestamps: shape::Timestamps::Gateway,
            max_skew: Duration::from_millis(500),
            heartbeat: None,
            tags: Vec::new(),
        }],
        tags: Vec::new(),
        calendars: indexmap::IndexMap::new(),
        buffer: shape::Buffer::default(),
        control: shape::Control::default(),
        uplinks: vec![Uplink::new(
            UplinkId(0),
            "mes",
            UplinkProtocol::Http(
                serde_json::from_value(serde_json::json!({ "url": "http://127.0.0.1/" })).unwrap(),
            ),
        )],
        shadow: false,
        digest: String::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn ready_is_told_when_it_is_so_and_not_before() {
    let mut stub = Stub::start();
    stub.pass(60, ALL).await;
    assert_eq!(stub.told(), "", "nothing is true yet");
    stub.phases.ready.cancel();
    stub.pass(1, ALL).await;
    let told = stub.told();
    assert!(told.starts_with("READY=1\nSTATUS="), "{told}");
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_is_fed_while_every_stage_moves() {
    let mut stub = Stub::start();
    stub.phases.ready.cancel();
    stub.pass(120, ALL).await;
    let told = stub.told();
    let fed = told.matches("WATCHDOG=1").count();
    assert!((4..=25).contains(&fed), "fed {fed} times in 120 s: {told}");
    assert!(!told.contains("trigger"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn one_stalled_stage_is_named_and_ends_the_feeding_inside_one_period() {
    for (stalled, name) in [
        ("device", "device PRESS-04.plc"),
        ("aggregation", "aggregation"),
        ("buffer", "the buffer"),
        ("uplink", "uplink mes"),
    ] {
        let mut stub = Stub::start();
        stub.phases.ready.cancel();
        stub.pass(60, ALL).await;
        stub.told();
        let moving: Vec<&str> = ALL.iter().copied().filter(|it| *it != stalled).collect();
        stub.pass(WATCHDOG.as_secs(), &moving).await;
        let told = stub.told();
        assert!(
            told.contains(&format!("STATUS=stalled: {name} for")),
            "{told}"
        );
        assert!(told.contains("WATCHDOG=trigger"), "{told}");
        stub.pass(WATCHDOG.as_secs(), &moving).await;
        assert!(
            !stub.told().contains("WATCHDOG=1"),
            "a stalled gateway is not fed"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stage_that_never_began_is_a_stall() {
    let mut stub = Stub::start();
    stub.phases.ready.cancel();
    stub.pass(WATCHDOG.as_secs(), &["device", "aggregation", "uplink"])
        .await;
    let told = stub.told();
    assert!(told.contains("stalled: the buffer"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn the_status_line_follows_the_counters() {
    let mut stub = Stub::start();
    stub.phases.ready.cancel();
    stub.pass(10, ALL).await;
    stub.told();
    stub.health.buffer.accepted.add(17);
    stub.health.uplinks[0].delivered.add(16);
    stub.pass(10, ALL).await;
    let told = stub.told();
    assert!(
        told.contains("17 events on disk, delivered by uplink 16"),
        "{told}"
    );
    assert_eq!(told.matches("STATUS=").count(), 1, "told once: {told}");
}

#[tokio::test(start_paused = true)]
async fn stopping_is_told_last() {
    for ready in [true, false] {
        let mut stub = Stub::start();
        if ready {
            stub.phases.ready.cancel();
        }
        stub.pass(3, ALL).await;
        stub.phases.stopping.cancel();
        stub.pass(60, ALL).await;
        let told = stub.told();
        let after = &told[told.find("STOPPING=1").expect("told")..];
        assert!(!after.contains("WATCHDOG=1"), "{told}");
    }
}

#[test]
fn abstract_sockets_are_reached() {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("millgate-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let systemd = Systemd::at(format!("@{name}").as_ref(), None).unwrap();
    systemd.tell(&[NotifyState::Ready]);
    let mut datagram = [0; 64];
    let length = socket.recv(&mut datagram).unwrap();
    assert_eq!(&datagram[..length], b"READY=1");
}

#[test]
fn without_a_manager_nothing_is_told() {
    let nobody = Systemd::default();
    nobody.tell(&[NotifyState::Ready]);
    assert_eq!(nobody.watchdog(), None);
}
