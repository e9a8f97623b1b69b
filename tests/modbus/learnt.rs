//! What pymodbus refuses in one request is read apart, remembered over a restart, and learnt again where it is forgotten.

use super::cell::Cell;
use super::peer::Plc;
use millgate::model::{BadReason, Content, Quality, Value};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Registers 198 and 199 exist, 200 and 205 do not: four values that are planned as one request.
fn device(port: u16) -> String {
    format!(
        "  plc:\n    modbus_tcp: {{ host: 127.0.0.1, port: {port}, unit: 7, timeout: 10s }}\n    addresses: zero_based\n    lost_after: 60s\n    tags:\n      a: {{ holding: 198, every: 50ms }}\n      b: {{ holding: 199, every: 50ms }}\n      c: {{ holding: 200, every: 50ms }}\n      d: {{ holding: 205, every: 50ms }}\n"
    )
}

async fn first(cell: &mut Cell) {
    let Content::Samples(samples) = cell.next().await.1 else {
        panic!("no samples");
    };
    let mut named = cell.named(&samples);
    named.sort_by(|one, other| one.0.cmp(&other.0));
    let good = |name: &str| (name.to_owned(), Some(Value::Int(42)), Quality::Good);
    let bad = Quality::Bad(BadReason::Exception(2));
    let absent = |name: &str| (name.to_owned(), None, bad);
    assert_eq!(named, [good("a"), good("b"), absent("c"), absent("d")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_is_split_once_and_remembered() {
    let Some(python) = Plc::python() else {
        return;
    };
    let cells = json!([
        {"table": "holding", "address": 198, "type": "UINT16", "order": "ABCD", "value": 42},
        {"table": "holding", "address": 199, "type": "UINT16", "order": "ABCD", "value": 42},
    ]);
    let plc = Plc::start(&python, 0, &cells);
    let wire = plc.wire().await;
    let mut cell = Cell::start(&device(wire.port));
    first(&mut cell).await;
    assert_eq!(cell.health("plc").unmerged.get(), 3);
    let state = Arc::clone(&cell.state);
    let path = state.path().join("learnt/CELL.plc");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !path.exists() {
        assert!(Instant::now() < deadline, "nothing is remembered");
        cell.next().await;
    }
    cell.stop().await;
    let mut again = Cell::start_in(Arc::clone(&state), &device(wire.port));
    first(&mut again).await;
    let health = again.health("plc");
    assert_eq!(health.unmerged.get(), 0);
    assert_eq!(health.exceptions.get(), 2, "only the absent values alone");
    again.stop().await;
    // Damaged, it harms nothing.
    std::fs::write(&path, [0xFF; 100]).unwrap();
    let mut forgotten = Cell::start_in(state, &device(wire.port));
    first(&mut forgotten).await;
    assert_eq!(forgotten.health("plc").unmerged.get(), 3);
    forgotten.stop().await;
}
