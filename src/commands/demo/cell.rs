//! A deburring cell with an OPC UA server on loopback: a state, a counter and a temperature.
//!
//! Its time runs while it is read, so that no part is made that nobody could see begin. Without security, which its
//! settings must flag: making certificates would take longer than the demo's start.

use super::attended::Attended;
use anyhow::{Context, anyhow};
use opcua::server::address_space::Variable;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::server::{Server, ServerBuilder};
use opcua::types::{DataValue, NodeId, Variant};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

/// The namespace of its nodes, as the demo's settings have it.
const NAMESPACE: &str = "urn:millgate:demo:deburring-cell";

/// It stands that long at first, so that whoever reads has seen it at rest.
const FIRST_PAUSE: Duration = Duration::from_millis(2_000);
/// One part, and the time from one to the next.
const PART: Duration = Duration::from_millis(1_800);
const PERIOD: Duration = Duration::from_millis(3_200);

/// What its state means.
const IDLE: i32 = 1;
const RUNNING: i32 = 2;

/// The cell at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment {
    state: i32,
    done: u32,
    celsius: f64,
}

/// The cell, so long after its begin, when it may begin at most so many parts.
fn at(now: Duration, most: Option<u32>) -> Moment {
    let working = now.saturating_sub(FIRST_PAUSE);
    let before = if now < FIRST_PAUSE { 0 } else { whole(working) };
    let within = working.saturating_sub(PERIOD * before);
    let may_begin = now >= FIRST_PAUSE && most.is_none_or(|most| before < most);
    let done = before + u32::from(may_begin && within >= PART);
    let warm = 1.0 - (-now.as_secs_f64() / 90.0).exp();
    Moment {
        state: if may_begin && within < PART {
            RUNNING
        } else {
            IDLE
        },
        done: most.map_or(done, |most| done.min(most)),
        // Tenths, as a sensor has them.
        celsius: (240.0 + 260.0 * warm).round() / 10.0,
    }
}

/// Periods that are over.
fn whole(working: Duration) -> u32 {
    u32::try_from(working.as_millis() / PERIOD.as_millis()).unwrap_or(u32::MAX)
}

/// A cell, shared by its server and the demo.
#[derive(Clone, Debug, Default)]
pub(super) struct SharedCell(Arc<Mutex<Life>>);

#[derive(Debug, Default)]
struct Life {
    time: Attended,
    /// Parts that may still be begun, when the shift is over.
    most: Option<u32>,
}

impl SharedCell {
    /// True when somebody has read it: its time runs.
    pub(super) fn is_read(&self) -> bool {
        self.lock().time.has_begun()
    }

    /// Parts that it has finished.
    pub(super) fn done(&self) -> u64 {
        u64::from(self.lock().now().done)
    }

    /// True while it works on a part.
    pub(super) fn is_working(&self) -> bool {
        self.lock().now().state == RUNNING
    }

    /// The part that it works on is brought to its end, no further one begins.
    pub(super) fn finish(&self) {
        let mut life = self.lock();
        let now = life.now();
        life.most = Some(now.done + u32::from(now.state == RUNNING));
    }

    pub(super) fn read(&self) -> Moment {
        let mut life = self.lock();
        life.time.look();
        life.now()
    }

    fn lock(&self) -> MutexGuard<'_, Life> {
        // A life is whole after each of its steps: a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Life {
    fn now(&self) -> Moment {
        at(self.time.now(), self.most)
    }
}

/// A cell that listens.
pub(super) struct CellServer {
    server: Server,
    listener: TcpListener,
    url: String,
}

impl CellServer {
    /// Listens on a free port of loopback; `pki` is where the library keeps the certificates that there are none of.
    ///
    /// # Errors
    /// When the system has no port to give, or the library refuses.
    pub(super) async fn bind(cell: &SharedCell, pki: &Path) -> anyhow::Result<CellServer> {
        let no_port = "no port on loopback for the demo";
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context(no_port)?;
        let port = listener.local_addr().context(no_port)?.port();
        let url = format!("opc.tcp://127.0.0.1:{port}/");
        let namespace = NamespaceMetadata {
            namespace_uri: NAMESPACE.to_owned(),
            ..NamespaceMetadata::default()
        };
        let built = ServerBuilder::new_anonymous("Deburring cell")
            .application_uri("urn:millgate:demo:deburring-cell-server")
            .product_uri("urn:millgate:demo")
            .host("127.0.0.1")
            .port(port)
            .pki_dir(pki)
            .create_sample_keypair(false)
            .discovery_urls(vec![url.clone()])
            .diagnostics_enabled(false)
            .with_node_manager(simple_node_manager(namespace, "cell"))
            .build();
        let (server, handle) = built.map_err(|what| anyhow!("the demo's OPC UA server: {what}"))?;
        let nodes = handle.node_managers().get_of_type::<SimpleNodeManager>();
        let (nodes, index) = nodes
            .zip(handle.get_namespace_index(NAMESPACE))
            .context("the demo's OPC UA server has lost its nodes")?;
        furnish(&nodes, index, cell);
        Ok(CellServer {
            server,
            listener,
            url,
        })
    }

    /// `opc.tcp://127.0.0.1:PORT/`
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Serves until it is dropped.
    ///
    /// # Errors
    /// When the library gives up.
    pub(super) async fn run(self) -> io::Result<()> {
        self.server
            .run_with(self.listener)
            .await
            .map_err(io::Error::other)
    }
}

/// Puts the nodes in; their values are asked of the cell whenever somebody looks.
fn furnish(nodes: &SimpleNodeManager, index: u16, cell: &SharedCell) {
    let folder = NodeId::new(index, "Cell");
    let named = |name: &str| NodeId::new(index, format!("Cell.{name}"));
    type Show = fn(Moment) -> Variant;
    let all: [(&str, Variant, Show); 3] = [
        ("State", IDLE.into(), |cell| cell.state.into()),
        ("PartsDone", 0_u32.into(), |cell| cell.done.into()),
        ("SpindleTemperature", 24.0.into(), |cell| {
            cell.celsius.into()
        }),
    ];
    let mut space = nodes.address_space().write();
    space.add_folder(
        &folder,
        "Cell",
        "Deburring cell",
        &NodeId::objects_folder_id(),
    );
    for (name, first, show) in all {
        let id = named(name);
        space.add_variables(vec![Variable::new(&id, name, name, first)], &folder);
        let cell = cell.clone();
        nodes
            .inner()
            .add_read_callback(id, move |_, _, _| Ok(DataValue::new_now(show(cell.read()))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    #[test]
    fn parts_are_made_one_after_the_other() {
        for (now, state, done) in [
            (0.0, IDLE, 0),
            (1.9, IDLE, 0),
            (2.1, RUNNING, 0),
            (3.9, IDLE, 1),
            (5.1, IDLE, 1),
            (5.3, RUNNING, 1),
            (7.1, IDLE, 2),
        ] {
            let moment = at(seconds(now), None);
            assert_eq!((moment.state, moment.done), (state, done), "at {now} s");
        }
    }

    #[test]
    fn the_part_that_is_begun_is_finished_and_no_other_begins() {
        assert_eq!(at(seconds(3.0), Some(1)).state, RUNNING);
        for now in [3.9, 5.3, 60.0] {
            let moment = at(seconds(now), Some(1));
            assert_eq!((moment.state, moment.done), (IDLE, 1), "at {now} s");
        }
        assert_eq!(at(seconds(60.0), Some(0)).done, 0);
    }
}
