//! Every type and byte order as pymodbus encodes it, and a server that is killed and comes back.

use super::cell::Cell;
use super::peer::Plc;
use millgate::model::{BadReason, Content, Quality, Value};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Tags as YAML, registers as JSON, and what must be read.
#[derive(Default)]
pub(super) struct Sheet {
    tags: String,
    pub(super) cells: Vec<Json>,
    expected: BTreeMap<String, (Option<Value>, Quality)>,
    next: [u16; 4],
}

impl Sheet {
    /// Puts a value of pymodbus' type into the next registers of a table and reads it back as ours.
    fn put(
        &mut self,
        (theirs, value): (&str, Json),
        ours: &str,
        order: &str,
        read: (Option<Value>, Quality),
    ) {
        for (place, table) in [(2, "holding"), (3, "input")] {
            let address = self.next[place];
            let name = format!("{table}_{address}");
            self.tags += &format!(
                "      {name}: {{ {table}: {address}, {ours}, byte_order: {order}, every: 50ms }}\n"
            );
            let cell = json!({"table": table, "address": address, "type": theirs, "order": order, "value": value});
            self.cells.push(cell);
            self.expected.insert(name, read.clone());
            self.next[place] += 4;
        }
    }

    fn put_bit(&mut self, on: bool) {
        for (place, table) in [(0, "coil"), (1, "discrete")] {
            let address = self.next[place];
            let name = format!("{table}_{address}");
            self.tags += &format!("      {name}: {{ {table}: {address}, every: 50ms }}\n");
            let cell = json!({"table": table, "address": address, "type": "BITS", "order": "ABCD", "value": on});
            self.cells.push(cell);
            self.expected
                .insert(name, (Some(Value::Bool(on)), Quality::Good));
            self.next[place] += 3;
        }
    }

    fn device(&self, port: u16, lost_after: &str) -> String {
        self.device_at(
            &format!("modbus_tcp: {{ host: 127.0.0.1, port: {port}"),
            lost_after,
        )
    }

    /// The device on a wire, without the end of its block.
    pub(super) fn device_at(&self, wire: &str, lost_after: &str) -> String {
        format!(
            "  plc:
    {wire}, unit: 7, timeout: 10s }}
    addresses: zero_based
    lost_after: {lost_after}
    tags:
{}",
            self.tags
        )
    }

    /// The first batch has all values as they must be.
    pub(super) async fn compare(&self, cell: &mut Cell) {
        let Content::Samples(samples) = cell.next().await.1 else {
            panic!("no samples");
        };
        let read: BTreeMap<String, _> = cell
            .named(&samples)
            .into_iter()
            .map(|(name, value, quality)| (name, (value, quality)))
            .collect();
        for (name, expected) in &self.expected {
            assert_eq!(&read[name], expected, "{name}");
        }
        assert_eq!(read.len(), self.expected.len());
        assert!(
            samples
                .windows(2)
                .all(|pair| pair[0].stamp.boot <= pair[1].stamp.boot)
        );
    }
}

pub(super) fn sheet() -> Sheet {
    let mut sheet = Sheet::default();
    let whole = |value: i64| (Some(Value::Int(value)), Quality::Good);
    let measured = |value: f64| (Some(Value::Float(value)), Quality::Good);
    let text = |value: &str| (Some(Value::Text(value.into())), Quality::Good);
    let bad = |reason| (None, Quality::Bad(reason));
    for order in ["ABCD", "CDAB", "BADC", "DCBA"] {
        sheet.put(
            ("INT16", json!(-12_345)),
            "type: i16",
            order,
            whole(-12_345),
        );
        sheet.put(("UINT16", json!(54_321)), "type: u16", order, whole(54_321));
        sheet.put(
            ("INT32", json!(-1_234_567_890)),
            "type: i32",
            order,
            whole(-1_234_567_890),
        );
        sheet.put(
            ("UINT32", json!(4_023_456_789u32)),
            "type: u32",
            order,
            whole(4_023_456_789),
        );
        let wide = 0x0102_0304_0506_0708i64;
        sheet.put(("INT64", json!(-wide)), "type: i64", order, whole(-wide));
        sheet.put(("UINT64", json!(wide)), "type: u64", order, whole(wide));
        sheet.put(
            ("FLOAT32", json!(-21.3)),
            "type: f32",
            order,
            measured(-21.3),
        );
        sheet.put(("FLOAT64", json!(0.1)), "type: f64", order, measured(0.1));
        sheet.put(
            ("STRING", json!("A7-äx")),
            "type: text, length: 6",
            order,
            text("A7-äx"),
        );
        sheet.put(
            ("UINT32", json!(0x1234_5678)),
            "type: bcd32",
            order,
            whole(12_345_678),
        );
    }
    sheet.put(
        ("UINT64", json!(u64::MAX)),
        "type: u64",
        "ABCD",
        bad(BadReason::OutOfRange),
    );
    sheet.put(
        ("REGISTERS", json!([0x7FC0, 0])),
        "type: f32",
        "ABCD",
        bad(BadReason::NotFinite),
    );
    sheet.put(
        ("REGISTERS", json!([0x12A4])),
        "type: bcd16",
        "ABCD",
        bad(BadReason::Malformed),
    );
    sheet.put(
        ("INT16", json!(213)),
        "type: i16, scale: 0.1",
        "ABCD",
        measured(21.3),
    );
    sheet.put(
        ("UINT16", json!(0x0800)),
        "type: bit, bit: 11",
        "ABCD",
        (Some(Value::Bool(true)), Quality::Good),
    );
    for on in [true, false, true, true] {
        sheet.put_bit(on);
    }
    sheet
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_pymodbus_encodes_is_what_is_read() {
    let Some(python) = Plc::python() else {
        return;
    };
    let sheet = sheet();
    let plc = Plc::start(&python, 0, &Json::from(sheet.cells.clone()));
    let wire = plc.wire().await;
    let mut cell = Cell::start(&sheet.device(wire.port, "60s"));
    sheet.compare(&mut cell).await;
    let health = cell.health("plc");
    assert_eq!((health.refused.get(), health.malformed.get()), (6, 2));
    cell.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_is_lost_and_found_again() {
    let Some(python) = Plc::python() else {
        return;
    };
    let cells =
        json!([{"table": "holding", "address": 3, "type": "UINT16", "order": "ABCD", "value": 42}]);
    let plc = Plc::start(&python, 0, &cells);
    let port = plc.port;
    let tags =
        "      counter: { holding: 3, every: 50ms }\n      absent: { holding: 900, every: 50ms }\n";
    let sheet = Sheet {
        tags: tags.into(),
        ..Sheet::default()
    };
    let wire = plc.wire().await;
    let mut cell = Cell::start(&sheet.device(wire.port, "2s"));
    let answers = |content: &Content| matches!(content, Content::Samples(_));
    let first = cell.until("plc", "an answer", |_, _| (), answers).await;
    let Content::Samples(samples) = first else {
        panic!("{first:?}");
    };
    let exception = Quality::Bad(BadReason::Exception(2));
    let expected = [
        ("counter".to_owned(), Some(Value::Int(42)), Quality::Good),
        ("absent".to_owned(), None, exception),
    ];
    assert_eq!(
        cell.named(&samples),
        expected,
        "one bad request does not spoil the other"
    );
    assert!(
        samples[0].stamp.boot < samples[1].stamp.boot,
        "two answers are two instants"
    );
    drop(plc);
    let lost = |content: &Content| matches!(content, Content::Lost(_));
    cell.until("plc", "the loss", |_, _| (), lost).await;
    let again = Plc::start(&python, port, &cells);
    cell.until("plc", "the return", |_, _| (), answers).await;
    drop(again);
    assert!(cell.health("plc").connects.get() >= 2);
    cell.stop().await;
}
