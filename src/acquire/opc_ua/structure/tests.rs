use super::*;
use crate::acquire::opc_ua::limits;
use opcua::types::{EUInformation, VariantScalarTypeId as T};

fn field(name: &str, of: Of, rank: i32) -> Field {
    Field {
        name: name.into(),
        of,
        rank,
        optional: false,
    }
}

fn built_in(name: &str, kind: T) -> Field {
    field(name, Of::BuiltIn(kind), -1)
}

fn node(number: u32) -> NodeId {
    NodeId::new(2, number)
}

/// A job with a part (text and two weights), a count and the counts of its shifts.
fn press() -> Layouts {
    let mut layouts = Layouts::default();
    let part = Layout {
        kind: Kind::All,
        fields: vec![
            built_in("Id", T::String),
            field("Weights", Of::BuiltIn(T::Float), 1),
        ],
    };
    let job = Layout {
        kind: Kind::All,
        fields: vec![
            field("Part", Of::Structure(node(1)), -1),
            built_in("AccCount", T::UInt32),
            field("Shifts", Of::BuiltIn(T::Int16), 1),
        ],
    };
    layouts.add(node(1), Some(node(11)), part);
    layouts.add(node(2), Some(node(12)), job);
    layouts
}

fn job(count: u32) -> Variant {
    let mut bytes = Vec::new();
    bytes.extend(2_i32.to_le_bytes());
    bytes.extend(b"A7");
    bytes.extend(2_i32.to_le_bytes());
    bytes.extend(21.5_f32.to_le_bytes());
    bytes.extend(22.5_f32.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(3_i32.to_le_bytes());
    for shift in [7_i16, 8, 9] {
        bytes.extend(shift.to_le_bytes());
    }
    marked(12, bytes)
}

fn marked(encoding: u32, bytes: Vec<u8>) -> Variant {
    let body = ByteStringBody::new(ByteString::from(bytes), node(encoding));
    Variant::from(ExtensionObject::new(body))
}

fn check(
    layouts: &Layouts,
    value: &Variant,
    (path, index): (&str, Option<usize>),
    expected: Result<Variant, BadReason>,
) {
    let path: Vec<String> = path
        .split('.')
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect();
    let context = limits::context();
    let found = layouts.dig(value, &path, index, &context.context());
    assert_eq!(found, expected, "{path:?} {index:?}");
}

#[test]
fn a_field_is_found_by_its_path() {
    let layouts = press();
    let value = job(417);
    check(&layouts, &value, ("AccCount", None), Ok(417_u32.into()));
    check(&layouts, &value, ("Part.Id", None), Ok("A7".into()));
    check(
        &layouts,
        &value,
        ("Part.Weights", Some(1)),
        Ok(22.5_f32.into()),
    );
    check(&layouts, &value, ("Shifts", Some(2)), Ok(9_i16.into()));
}

#[test]
fn an_index_is_that_of_the_first_array_on_the_way() {
    let jobs = array(T::ExtensionObject, vec![job(1), job(2)]);
    check(&press(), &jobs, ("AccCount", Some(1)), Ok(2_u32.into()));
    check(
        &press(),
        &jobs,
        ("AccCount", Some(2)),
        Err(BadReason::Malformed),
    );
    check(
        &press(),
        &jobs,
        ("AccCount", None),
        Err(BadReason::Malformed),
    );
    check(
        &press(),
        &jobs,
        ("Shifts", Some(1)),
        Err(BadReason::Malformed),
    );
}

#[test]
fn what_is_not_there_is_malformed() {
    let value = job(1);
    for way in [
        ("Count", None),
        ("Part", None),
        ("Part.Id.Deeper", None),
        ("AccCount", Some(0)),
        ("Shifts", Some(3)),
        ("Shifts", None),
    ] {
        check(&press(), &value, way, Err(BadReason::Malformed));
    }
    check(
        &press(),
        &marked(99, vec![]),
        ("AccCount", None),
        Err(BadReason::Malformed),
    );
    check(
        &press(),
        &marked(12, vec![2, 0]),
        ("AccCount", None),
        Err(BadReason::Malformed),
    );
}

#[test]
fn optional_fields_are_there_when_their_bit_is_set() {
    let mut layouts = Layouts::default();
    let optional = |name| Field {
        optional: true,
        ..built_in(name, T::Byte)
    };
    let fields = vec![optional("A"), built_in("B", T::Byte), optional("C")];
    layouts.add(
        node(3),
        Some(node(13)),
        Layout {
            kind: Kind::Optional,
            fields,
        },
    );
    let value = marked(13, vec![2, 0, 0, 0, 40, 50]);
    check(&layouts, &value, ("B", None), Ok(40_u8.into()));
    check(&layouts, &value, ("C", None), Ok(50_u8.into()));
    check(&layouts, &value, ("A", None), Err(BadReason::Malformed));
}

#[test]
fn a_union_holds_the_member_that_it_names() {
    let mut layouts = Layouts::default();
    let fields = vec![built_in("Torque", T::Double), built_in("Text", T::Byte)];
    layouts.add(
        node(4),
        Some(node(14)),
        Layout {
            kind: Kind::Union,
            fields,
        },
    );
    let value = marked(14, vec![2, 0, 0, 0, 77]);
    check(&layouts, &value, ("Text", None), Ok(77_u8.into()));
    check(
        &layouts,
        &value,
        ("Torque", None),
        Err(BadReason::Malformed),
    );
    check(
        &layouts,
        &marked(14, vec![0; 4]),
        ("Text", None),
        Err(BadReason::Malformed),
    );
}

#[test]
fn a_structure_that_the_library_knows_is_read_in_the_same_way() {
    let mut layouts = Layouts::default();
    let fields = vec![
        built_in("NamespaceUri", T::String),
        built_in("UnitId", T::Int32),
        built_in("DisplayName", T::LocalizedText),
        built_in("Description", T::LocalizedText),
    ];
    let known = EUInformation {
        namespace_uri: "http://www.opcfoundation.org/UA/units/un/cefact".into(),
        unit_id: 4_408_652,
        display_name: "°C".into(),
        description: "degree Celsius".into(),
    };
    let value = Variant::from(ExtensionObject::new(known));
    let mark = encoding(structure(&value).unwrap()).unwrap();
    layouts.add(
        node(5),
        Some(mark),
        Layout {
            kind: Kind::All,
            fields,
        },
    );
    check(&layouts, &value, ("UnitId", None), Ok(4_408_652_i32.into()));
    check(
        &layouts,
        &value,
        ("DisplayName", None),
        Ok(LocalizedText::from("°C").into()),
    );
}

#[test]
fn a_type_that_contains_itself_ends() {
    let mut layouts = Layouts::default();
    let fields = vec![
        field("Again", Of::Structure(node(6)), -1),
        built_in("Last", T::Byte),
    ];
    layouts.add(
        node(6),
        Some(node(16)),
        Layout {
            kind: Kind::All,
            fields,
        },
    );
    check(
        &layouts,
        &marked(16, vec![1]),
        ("Last", None),
        Err(BadReason::Malformed),
    );
}

#[test]
fn arrays_of_nothing_cost_no_more_than_the_limit() {
    let mut layouts = Layouts::default();
    let empty = Layout {
        kind: Kind::All,
        fields: vec![],
    };
    layouts.add(node(7), None, empty);
    let mut inner = node(7);
    for number in 8..14 {
        let fields = vec![field("Many", Of::Structure(inner.clone()), 1)];
        layouts.add(
            node(number),
            None,
            Layout {
                kind: Kind::All,
                fields,
            },
        );
        inner = node(number);
    }
    let fields = vec![
        field("Many", Of::Structure(inner), 1),
        built_in("Last", T::Byte),
    ];
    layouts.add(
        node(20),
        Some(node(30)),
        Layout {
            kind: Kind::All,
            fields,
        },
    );
    let bytes = 10_000_i32.to_le_bytes().repeat(10_000);
    check(
        &layouts,
        &marked(30, bytes),
        ("Last", None),
        Err(BadReason::Malformed),
    );
}
