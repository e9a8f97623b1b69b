//! Element strings as scanners send them, as people write them, and as nobody should.

use super::*;
use proptest::prelude::*;

/// GS, as it stands in the texts below.
const GS: char = '\u{1d}';

/// `text`, with `~` for GS, holds exactly these elements.
fn check(text: &str, expected: &[(&str, &str)]) {
    let text = text.replace('~', &GS.to_string());
    let found = elements(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let found: Vec<_> = found
        .iter()
        .map(|one| (one.identifier, one.value))
        .collect();
    assert_eq!(found, expected, "{text}");
}

/// `text`, with `~` for GS, is refused with these words.
fn refused(text: &str, says: &str) {
    let text = text.replace('~', &GS.to_string());
    let error = elements(&text).expect_err(&text).to_string();
    assert!(error.contains(says), "{text}: {error}");
}

#[test]
fn a_symbology_identifier_is_split_off() {
    assert_eq!(
        split_symbology("]C10104012345678901"),
        Some(("]C1", "0104012345678901"))
    );
    assert_eq!(split_symbology("]A0ABC"), Some(("]A0", "ABC")));
    assert_eq!(split_symbology("]E0"), Some(("]E0", "")));
    for none in ["", "]", "]C", "C1x", "]11x", "]Cé", "]\u{1d}1x", "x]C1"] {
        assert_eq!(split_symbology(none), None, "{none}");
    }
    for yes in ["]C1", "]e0", "]d2", "]Q3", "]J1"] {
        assert!(means_gs1(yes), "{yes}");
    }
    for no in ["]C0", "]E0", "]d1", "]Q1", "]J0", "", "]c1"] {
        assert!(!means_gs1(no), "{no}");
    }
}

#[test]
fn a_scanner_sends_gs_where_it_is_needed() {
    let gtin = ("01", "04012345678901");
    check("0104012345678901", &[gtin]);
    check("010401234567890121A7", &[gtin, ("21", "A7")]);
    check(
        "010401234567890121A7~10B/4",
        &[gtin, ("21", "A7"), ("10", "B/4")],
    );
    check("~0104012345678901~21A7~", &[gtin, ("21", "A7")]);
    check(
        "11260131172712003103001250",
        &[("11", "260131"), ("17", "271200"), ("3103", "001250")],
    );
    check("00340123450000000017", &[("00", "340123450000000017")]);
    check(
        "02040123456789013712~400PO-7",
        &[("02", "04012345678901"), ("37", "12"), ("400", "PO-7")],
    );
    check(
        "8006040123456789010203~90x",
        &[("8006", "040123456789010203"), ("90", "x")],
    );
    check("7230EMabc~422276", &[("7230", "EMabc"), ("422", "276")]);
    check("4300ACME%20Works", &[("4300", "ACME%20Works")]);
    check("21A7~21A7", &[("21", "A7"), ("21", "A7")]);
}

#[test]
fn people_write_brackets() {
    let gtin = ("01", "04012345678901");
    check("(01)04012345678901(21)A7", &[gtin, ("21", "A7")]);
    check("(21)A(7)B(10)x", &[("21", "A(7)B"), ("10", "x")]);
    check("(3103)001250", &[("3103", "001250")]);
    check("(21)((10)1", &[("21", "("), ("10", "1")]);
    refused("(01)04012345678901 (21)A7", "(01) does not hold");
    refused(
        "(1)04012345678901",
        "`(1)040` begins no application identifier",
    );
    refused("(21)", "up to 20 characters");
    // Found by fuzzing: of a family, but no identifier.
    refused("(723+)5", "`(723+)` begins no application identifier");
    refused("(310x)001250", "`(310x)` begins no application identifier");
    check("(21)A(310x)B", &[("21", "A(310x)B")]);
}

#[test]
fn an_identifier_of_later_years_is_read_by_its_family() {
    check("7299abc~21A7", &[("7299", "abc"), ("21", "A7")]);
    check(
        "181234560104012345678901",
        &[("18", "123456"), ("01", "04012345678901")],
    );
    check("8299new", &[("8299", "new")]);
    for unknown in ["05", "38123", "5", "60abc", "8", "AB12", "~~", "é1"] {
        refused(unknown, "begins no application identifier");
    }
    refused("(05)12", "`(05)12` begins no application identifier");
}

#[test]
fn what_does_not_fit_its_format_is_refused() {
    refused("", "nothing in it");
    refused("~", "nothing in it");
    refused("010401234567890", "14 digits, the last a check digit");
    refused("0104012345678902", "wrong check digit");
    refused("00340123450000000018", "wrong check digit");
    refused("02A4012345678901", "14 digits");
    refused("11261331", "a date YYMMDD");
    refused("11260132", "a date YYMMDD");
    refused("310300125", "6 digits");
    refused("21", "up to 20 characters");
    refused("21123456789012345678901", "up to 20 characters");
    refused("21a b", "up to 20 characters");
    refused("21é", "up to 20 characters");
    refused("37123456789", "up to 8 digits");
    refused("3712a", "up to 8 digits");
    refused("21A~21B", "twice");
    refused(&"90x~".repeat(65), "longer than any symbol");
    refused(
        &format!("91{}", "x".repeat(1_100)),
        "longer than any symbol",
    );
}

fn only(text: &str) -> Element<'_> {
    elements(text).unwrap()[0]
}

#[test]
fn weights_and_amounts_have_their_decimals() {
    for (text, number) in [
        ("3103001250", Some(1.25)),
        ("3100001250", Some(1250.0)),
        ("3106000001", Some(0.000_001)),
        ("3109000001", Some(0.000_000_001)),
        ("39221299", Some(12.99)),
        ("3932129", None),
        ("3932978129", Some(1.29)),
        ("3909123", Some(0.000_000_123)),
        ("21123", None),
    ] {
        let Ok(found) = elements(text) else {
            assert_eq!(number, None, "{text}");
            continue;
        };
        assert_eq!(found[0].number(), number, "{text}");
    }
    assert!(has_decimals("3103") && has_decimals("3932") && !has_decimals("21"));
    assert!(has_decimals("310") && has_decimals("393") && !has_decimals("410"));
    for yes in ["00", "21", "414", "3103", "8299"] {
        assert!(is_identifier(yes), "{yes}");
    }
    for no in ["", "0", "05", "210", "310", "31034", "2a", "é"] {
        assert!(!is_identifier(no), "{no}");
    }
}

#[test]
fn a_date_may_mean_the_whole_month() {
    let date = |text| only(text).date();
    let of = |year, month, day| Some(Date { year, month, day });
    assert_eq!(date("11260131"), of(26, 1, Some(31)));
    assert_eq!(date("17271200"), of(27, 12, None));
    assert_eq!(date("7007260131260228"), of(26, 1, Some(31)));
    assert_eq!(date("21260131"), None);
}

/// Characters that scanners send, so that many texts are nearly right.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "01",
            "0104012345678901",
            "21",
            "10",
            "3103",
            "001250",
            "(01)",
            "(21)",
            "(310x)",
            "(",
            ")",
            "\u{1d}",
            "17",
            "271200",
            "8006",
        ])
        .prop_map(str::to_owned),
        "[0-9]{1,6}",
        ".",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text: String) {
        if let Some((symbology, rest)) = split_symbology(&text) {
            prop_assert_eq!(symbology.len() + rest.len(), text.len());
        }
        drop(elements(&text));
    }

    #[test]
    fn what_is_read_is_part_of_the_text_and_reads_the_same_again(text in nearly()) {
        let Ok(found) = elements(&text) else { return Ok(()) };
        prop_assert!(!found.is_empty() && found.len() <= MAX_ELEMENTS);
        let mut again = String::new();
        for element in &found {
            prop_assert!(text.contains(element.value) && text.contains(element.identifier));
            prop_assert!(is_identifier(element.identifier));
            prop_assert!(element.number().is_none_or(f64::is_finite));
            prop_assert!(element.date().is_none_or(|date| (1..=12).contains(&date.month)));
            again.extend([element.identifier, element.value]);
            again.push(GS);
        }
        prop_assert_eq!(elements(&again).unwrap(), found);
    }

    #[test]
    fn one_changed_digit_is_always_noticed(at in 0usize..14, digit in 0u32..10) {
        let mut gtin: Vec<char> = "04012345678901".chars().collect();
        let new = char::from_digit(digit, 10).unwrap();
        prop_assume!(gtin[at] != new);
        gtin[at] = new;
        let text: String = "01".chars().chain(gtin).collect();
        let is_noticed = matches!(elements(&text), Err(Gs1Error::CheckDigit { .. }));
        prop_assert!(is_noticed);
    }
}
