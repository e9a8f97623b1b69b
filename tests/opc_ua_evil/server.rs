//! A good OPC UA server, of the library that the gateway's client is from; what is evil is done by `meddler` before it.

use opcua::server::ServerBuilder;
use opcua::server::address_space::VariableBuilder;
use opcua::server::diagnostics::NamespaceMetadata;
use opcua::server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua::types::{
    DataTypeId, DataValue, DateTime, NodeId, ObjectId, ReferenceTypeId, StatusCode, Variant,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Its namespace.
pub(super) const NAMESPACE: &str = "urn:EXAMPLE:zoo";

/// A listening server; it ends with its value.
pub(super) struct Server {
    pub(super) port: u16,
    stop: CancellationToken,
    changing: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        self.changing.abort();
    }
}

impl Server {
    /// Serves `speed`, which changes every 50 ms, without security, on a port that the kernel chooses.
    pub(super) async fn start() -> Server {
        Server::serve(Server::plain()).await
    }

    /// A server without security.
    pub(super) fn plain() -> ServerBuilder {
        ServerBuilder::new_anonymous("Filler").application_uri("urn:EXAMPLE:Filler")
    }

    /// Serves as `builder` says.
    pub(super) async fn serve(builder: ServerBuilder) -> Server {
        // A gateway whose connections are broken leaves sessions behind for a minute.
        Server::serve_few(builder, 1_000).await
    }

    /// The same for so many sessions at once.
    pub(super) async fn serve_few(builder: ServerBuilder, sessions: usize) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let namespace = NamespaceMetadata {
            namespace_uri: NAMESPACE.to_owned(),
            ..NamespaceMetadata::default()
        };
        let (server, handle) = builder
            .product_uri("urn:EXAMPLE:Filler")
            .host("127.0.0.1")
            .port(port)
            .token(stop.clone())
            .max_sessions(sessions)
            .with_node_manager(simple_node_manager(namespace, "zoo"))
            .build()
            .unwrap();
        let index = handle.get_namespace_index(NAMESPACE).unwrap();
        let nodes = handle
            .node_managers()
            .get_of_type::<SimpleNodeManager>()
            .unwrap();
        for (name, value) in values() {
            variable(&nodes, index, name);
            let id = NodeId::new(index, name);
            nodes
                .set_value(handle.subscriptions(), &id, None, value)
                .unwrap();
        }
        in_circles(&nodes, index);
        tokio::spawn(server.run_with(listener));
        let changing = tokio::spawn(async move {
            let speed = NodeId::new(index, "speed");
            let mut every = tokio::time::interval(Duration::from_millis(50));
            for n in 0_i32.. {
                every.tick().await;
                let value = DataValue::new_now(f64::from(n));
                nodes
                    .set_value(handle.subscriptions(), &speed, None, value)
                    .unwrap();
            }
        });
        Server {
            port,
            stop,
            changing,
        }
    }
}

/// What it serves: one good variable, and what no variable should hold.
fn values() -> Vec<(&'static str, DataValue)> {
    let stamped = |value: f64, time: DateTime| DataValue {
        value: Some(Variant::Double(value)),
        status: Some(StatusCode::Good),
        source_timestamp: Some(time),
        source_picoseconds: None,
        server_timestamp: Some(time),
        server_picoseconds: None,
    };
    vec![
        ("speed", DataValue::new_now(0.0)),
        ("nan", DataValue::new_now(f64::NAN)),
        ("infinite", DataValue::new_now(f64::NEG_INFINITY)),
        ("year1601", stamped(1.0, DateTime::epoch())),
        ("year9999", stamped(2.0, DateTime::endtimes())),
        (
            "bad",
            DataValue {
                status: Some(StatusCode::BadSensorFailure),
                ..DataValue::new_now(3.0)
            },
        ),
    ]
}

/// Whoever follows these references comes back to where he was.
fn in_circles(nodes: &Arc<SimpleNodeManager>, index: u16) {
    let space = nodes.address_space();
    let mut space = space.write();
    for (from, to) in [
        ("speed", "nan"),
        ("nan", "infinite"),
        ("infinite", "speed"),
        ("nan", "speed"),
    ] {
        let (from, to) = (NodeId::new(index, from), NodeId::new(index, to));
        space.insert_reference(&from, &to, ReferenceTypeId::Organizes);
    }
}

fn variable(nodes: &Arc<SimpleNodeManager>, index: u16, name: &'static str) {
    let id = NodeId::new(index, name);
    VariableBuilder::new(&id, name, name)
        .data_type(DataTypeId::Double)
        .organized_by(ObjectId::ObjectsFolder)
        .value(0.0_f64)
        .insert(&mut *nodes.address_space().write());
}
