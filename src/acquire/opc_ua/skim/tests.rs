//! Messages as the library writes them pass to their last byte; what is too long or too deep does not.

use super::*;
use opcua::core::{Message, ResponseMessage};
use opcua::types::{
    BinaryDecodable, BinaryEncodable, ContextOwned, DataChangeNotification, DataValue,
    DiagnosticInfo, EndpointDescription, ExtensionObject, GetEndpointsResponse,
    MonitoredItemNotification, NodeId, NotificationMessage, PublishResponse, ReadResponse, Variant,
};
use proptest::prelude::*;

/// What a server may answer us.
const KINDS: [ObjectId; 12] = [
    ObjectId::PublishResponse_Encoding_DefaultBinary,
    ObjectId::ReadResponse_Encoding_DefaultBinary,
    ObjectId::BrowseResponse_Encoding_DefaultBinary,
    ObjectId::BrowseNextResponse_Encoding_DefaultBinary,
    ObjectId::TranslateBrowsePathsToNodeIdsResponse_Encoding_DefaultBinary,
    ObjectId::CreateMonitoredItemsResponse_Encoding_DefaultBinary,
    ObjectId::CreateSubscriptionResponse_Encoding_DefaultBinary,
    ObjectId::GetEndpointsResponse_Encoding_DefaultBinary,
    ObjectId::CreateSessionResponse_Encoding_DefaultBinary,
    ObjectId::ActivateSessionResponse_Encoding_DefaultBinary,
    ObjectId::OpenSecureChannelResponse_Encoding_DefaultBinary,
    ObjectId::ServiceFault_Encoding_DefaultBinary,
];

/// A message as a server sends it.
fn message(kind: ObjectId, body: &impl BinaryEncodable) -> Vec<u8> {
    let context = ContextOwned::default();
    let context = context.context();
    let mut bytes = NodeId::from(kind).encode_to_vec(&context);
    bytes.extend(body.encode_to_vec(&context));
    bytes
}

fn read(results: Vec<DataValue>) -> Vec<u8> {
    let answer = ReadResponse {
        results: Some(results),
        ..ReadResponse::default()
    };
    message(ObjectId::ReadResponse_Encoding_DefaultBinary, &answer)
}

fn publish(values: usize) -> Vec<u8> {
    let item = |n: usize| MonitoredItemNotification {
        client_handle: 7,
        value: DataValue::new_now(n as f64),
    };
    let news = DataChangeNotification {
        monitored_items: Some((0..values).map(item).collect()),
        diagnostic_infos: Some(vec![DiagnosticInfo::default()]),
    };
    let answer = PublishResponse {
        notification_message: NotificationMessage {
            notification_data: Some(vec![ExtensionObject::new(news)]),
            ..NotificationMessage::default()
        },
        ..PublishResponse::default()
    };
    message(ObjectId::PublishResponse_Encoding_DefaultBinary, &answer)
}

fn nested(levels: usize) -> DataValue {
    let wrap = |inner, _| Variant::Variant(Box::new(inner));
    DataValue::new_now((0..levels).fold(Variant::from(1), wrap))
}

#[test]
fn good_messages_pass_to_their_last_byte() {
    let endpoints = GetEndpointsResponse {
        endpoints: Some(vec![EndpointDescription::from("opc.tcp://plc:4840"); 3]),
        ..GetEndpointsResponse::default()
    };
    let values = vec![
        DataValue::new_now("text"),
        DataValue::new_now(vec![1.5_f64, 2.5]),
        DataValue::new_now(vec!["a".to_owned(), "b".to_owned()]),
        DataValue::new_now(Variant::Empty),
        nested(3),
    ];
    for good in [
        message(
            ObjectId::GetEndpointsResponse_Encoding_DefaultBinary,
            &endpoints,
        ),
        read(values),
        publish(100),
    ] {
        assert_eq!(skim(&good), Ok(()));
        // Nothing was overlooked: without its last byte it is cut off.
        assert_eq!(skim(&good[..good.len() - 1]), Err(Excess::Cut));
    }
}

#[test]
fn arrays_are_longer_in_what_was_subscribed() {
    assert_eq!(skim(&publish(MAX_ARRAY)), Ok(()));
    assert_eq!(skim(&publish(MAX_ARRAY + 1)), Err(Excess::Array(10_001)));
    let values = |count| vec![DataValue::default(); count];
    assert_eq!(skim(&read(values(MAX_NODES))), Ok(()));
    assert_eq!(
        skim(&read(values(MAX_NODES + 1))),
        Err(Excess::Array(1_001))
    );
}

#[test]
fn what_is_nested_or_long_is_refused() {
    assert_eq!(skim(&read(vec![nested(20)])), Err(Excess::Depth));
    let text = "x".repeat(MAX_STRING + 1);
    assert_eq!(
        skim(&read(vec![DataValue::new_now(text)])),
        Err(Excess::Text(65_537))
    );
    let mut diagnostics = read(vec![]);
    diagnostics.splice(20..21, [0x40; 60_000]);
    assert_eq!(skim(&diagnostics), Err(Excess::Depth));
    let mut nothings = read(vec![DataValue::new_now(vec![true])]);
    let at = nothings.iter().rposition(|byte| *byte == 0x81).unwrap();
    nothings[at] = 0x80;
    assert_eq!(skim(&nothings), Err(Excess::Type));
    assert_eq!(
        skim(&message(
            ObjectId::CallResponse_Encoding_DefaultBinary,
            &0_u32
        )),
        Err(Excess::Cut)
    );
}

/// What passes is decoded by the library, which may still refuse it, but does not panic.
fn decoded(message: &[u8]) {
    if skim(message).is_ok() {
        let context = crate::acquire::opc_ua::context();
        let context = context.context();
        let mut stream = std::io::Cursor::new(message);
        let kind = NodeId::decode(&mut stream, &context).ok();
        if let Some(Ok(kind)) = kind.map(|kind| kind.as_object_id()) {
            drop(ResponseMessage::decode_by_object_id(
                &mut stream,
                kind,
                &context,
            ));
        }
    }
}

fn good() -> Vec<Vec<u8>> {
    vec![
        read(vec![nested(2), DataValue::new_now(vec![1_i32, 2])]),
        publish(3),
    ]
}

proptest! {
    #[test]
    fn any_bytes_behind_any_kind_are_looked_at(kind in prop::sample::select(KINDS.to_vec()), header: bool, bytes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..200)) {
        decoded(&bytes);
        let [low, high, ..] = (kind as u32).to_le_bytes();
        let header = if header { &[0; 24][..] } else { &[] };
        decoded(&[&[1, 0, low, high], header, &bytes].concat());
    }

    #[test]
    fn damaged_messages_are_looked_at(message in prop::sample::select(good()), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5), cut in prop::option::of(any::<prop::sample::Index>())) {
        let mut message = message;
        for (at, byte) in edits {
            let length = message.len();
            message[at.index(length)] = byte;
        }
        if let Some(cut) = cut {
            message.truncate(cut.index(message.len()));
        }
        decoded(&message);
    }
}
