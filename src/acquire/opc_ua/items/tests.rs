use super::*;
use crate::acquire::opc_ua::limits;
use crate::acquire::opc_ua::structure::array;
use crate::settings::shape::TagType;
use crate::settings::{Namespace, Node};
use opcua::types::{DateTime, StatusCode, VariantScalarTypeId};

fn item(change: impl FnOnce(&mut Variable)) -> Item {
    let mut variable = Variable {
        node: Node {
            namespace: Namespace::Index(2),
            identifier: "s=Speed".into(),
        },
        kind: None,
        index: None,
        field: Vec::new(),
        state_machine: false,
        queue: 2,
    };
    change(&mut variable);
    Item::new(
        TagId(4),
        "speed".into(),
        Duration::from_millis(100),
        variable,
    )
}

fn came(value: impl Into<Variant>, status: u32, second: u16) -> DataValue {
    DataValue {
        value: Some(value.into()),
        status: Some(StatusCode::from(status)),
        source_timestamp: Some(DateTime::ymd_hms(2026, 7, 1, 6, 0, second)),
        ..DataValue::default()
    }
}

/// What becomes of a value: the raw values of the readings, in order.
fn read(item: &mut Item, came: &DataValue) -> Vec<Result<Value, BadReason>> {
    let context = limits::context();
    let known = Known {
        types: &Types::default(),
        states: &States::default(),
        context: &context,
        timestamps: Timestamps::Source,
    };
    let mut readings = Vec::new();
    item.readings(came, Stamp::default(), &known, &mut readings);
    readings.into_iter().map(|reading| reading.raw).collect()
}

const GOOD: u32 = 0;
const OVERFLOW: u32 = 0x0000_0480;
const NO_COMMUNICATION: u32 = 0x8031_0000;

#[test]
fn a_value_that_is_sent_again_after_a_reconnect_is_dropped_once() {
    let mut one = item(|_| {});
    let (first, second) = (came(7, GOOD, 1), came(8, GOOD, 2));
    assert_eq!(read(&mut one, &first), [Ok(Value::Int(7))]);
    assert_eq!(read(&mut one, &second), [Ok(Value::Int(8))]);
    one.renew();
    assert_eq!(read(&mut one, &second), []);
    assert_eq!(
        read(&mut one, &second),
        [Ok(Value::Int(8))],
        "only the first one is"
    );
}

#[test]
fn what_changed_while_the_connection_was_broken_passes() {
    for changed in [
        came(8, GOOD, 1),
        came(7, GOOD, 2),
        came(7, 0x4000_0000, 1),
        came(7, NO_COMMUNICATION, 1),
    ] {
        let mut one = item(|_| {});
        read(&mut one, &came(7, GOOD, 1));
        one.renew();
        assert_eq!(read(&mut one, &changed).len(), 1, "{changed:?}");
    }
}

#[test]
fn after_a_loss_the_same_value_passes() {
    let mut one = item(|_| {});
    read(&mut one, &came(7, GOOD, 1));
    one.renew();
    one.forget();
    assert_eq!(read(&mut one, &came(7, GOOD, 1)), [Ok(Value::Int(7))]);
}

#[test]
fn a_tag_that_was_said_to_be_bad_gets_the_same_value_again() {
    let mut one = item(|_| {});
    let same = came(1_i32, 0, 5);
    assert_eq!(read(&mut one, &same), [Ok(Value::Int(1))]);
    // A server that still starts does not know the node; a minute later it does, and the value is as old as before.
    one.renew();
    let bad = one.bad(BadReason::Source, Stamp::default());
    assert_eq!(bad.raw, Err(BadReason::Source));
    assert_eq!(read(&mut one, &same), [Ok(Value::Int(1))]);
}

#[test]
fn values_that_a_queue_lost_make_the_tag_bad_in_between() {
    let mut one = item(|_| {});
    let expected = [Err(BadReason::Overflow), Ok(Value::Int(7))];
    assert_eq!(read(&mut one, &came(7, OVERFLOW, 1)), expected);
}

#[test]
fn a_bad_status_is_bad_whatever_the_value() {
    let mut one = item(|_| {});
    let bad = came(7, NO_COMMUNICATION, 1);
    assert_eq!(
        one.new_trouble(&bad).as_deref(),
        Some("the server says BadNoCommunication")
    );
    assert_eq!(read(&mut one, &bad), [Err(BadReason::Source)]);
    assert_eq!(one.new_trouble(&bad), None, "said once");
    assert_eq!(
        read(&mut one, &DataValue::default()),
        [Err(BadReason::Malformed)]
    );
}

#[test]
fn a_value_of_another_type_is_malformed() {
    let mut one = item(|variable| variable.kind = Some(TagType::F64));
    assert_eq!(read(&mut one, &came(7.5, GOOD, 1)), [Ok(Value::Float(7.5))]);
    assert_eq!(
        read(&mut one, &came(7, GOOD, 2)),
        [Err(BadReason::Malformed)]
    );
}

#[test]
fn an_element_is_picked_here_or_by_the_server() {
    let whole = array(VariantScalarTypeId::Int32, vec![5.into(), 6.into()]);
    let picked = array(VariantScalarTypeId::Int32, vec![6.into()]);
    let mut one = item(|variable| variable.index = Some(1));
    assert_eq!(
        read(&mut one, &came(whole.clone(), GOOD, 1)),
        [Ok(Value::Int(6))]
    );
    assert_eq!(
        read(&mut one, &came(picked.clone(), GOOD, 2)),
        [Err(BadReason::Malformed)]
    );
    one.place = Place::At {
        node: NodeId::null(),
        ranged: true,
    };
    assert_eq!(read(&mut one, &came(picked, GOOD, 3)), [Ok(Value::Int(6))]);
    assert_eq!(read(&mut one, &came(6, GOOD, 4)), [Ok(Value::Int(6))]);
    let mut without = item(|_| {});
    assert_eq!(
        read(&mut without, &came(whole, GOOD, 1)),
        [Err(BadReason::Malformed)]
    );
}

#[test]
fn a_state_without_a_name_is_bad_and_its_text_is_never_taken() {
    let mut machine = item(|variable| variable.state_machine = true);
    let state = NodeId::new(2, 5_001_u32);
    let value = came(Variant::from(state.clone()), GOOD, 1);
    let context = limits::context();
    let known = Known {
        types: &Types::default(),
        states: &States::default(),
        context: &context,
        timestamps: Timestamps::Gateway,
    };
    assert_eq!(machine.missing(&value, &known), Some(Missing::State(state)));
    assert_eq!(read(&mut machine, &value), [Err(BadReason::Source)]);
    assert_eq!(
        read(&mut machine, &came(3_u32, GOOD, 2)),
        [Ok(Value::Text("3".into()))]
    );
}
