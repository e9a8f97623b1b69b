//! Answers of a MES, as they should be and as they should not.

use super::*;
use fastrand::Rng;

/// Answers as a MES writes them, by name.
pub(in crate::format::b2mml) const FIXTURES: [(&str, &str); 6] = [
    ("accepted", include_str!("fixtures/accepted.xml")),
    ("rejected", include_str!("fixtures/rejected.xml")),
    ("modified", include_str!("fixtures/modified.xml")),
    ("confirmed", include_str!("fixtures/confirmed.xml")),
    ("refused", include_str!("fixtures/refused.xml")),
    (
        "refused-several",
        include_str!("fixtures/refused_several.xml"),
    ),
];

/// Rounds over all answers, each spoilt in another way.
const ROUNDS: usize = 2_000;

fn told(
    bod_id: Option<&str>,
    accepted: bool,
    code: Option<&str>,
    detail: Option<&str>,
) -> BodVerdict {
    BodVerdict {
        bod_id: bod_id.map(str::to_owned),
        accepted,
        code: code.map(str::to_owned),
        detail: detail.map(str::to_owned),
    }
}

#[test]
fn each_answer_is_understood() {
    let id = |last: u32| format!("6f1c2f9e-0a52-5d8e-9a41-3d6f6c1b2a0{last}");
    let maintained = "the interface is being maintained";
    let expected = [
        vec![told(
            Some(&id(1)),
            true,
            None,
            Some("/OperationsPerformance"),
        )],
        vec![told(
            Some(&id(2)),
            false,
            Some("order-closed"),
            Some("Order WO-100482 is closed; since 08:55 & \u{201c}booked\u{201d}"),
        )],
        vec![told(
            Some(&id(3)),
            true,
            Some("shift-corrected"),
            Some("the shift ended before"),
        )],
        vec![told(Some(&id(4)), true, None, None)],
        vec![told(
            Some(&id(5)),
            false,
            Some("sender-unknown"),
            Some("there is no gateway plant1-press-gw07"),
        )],
        vec![
            told(Some(&id(6)), false, Some("maintenance"), Some(maintained)),
            told(Some(&id(7)), false, Some("maintenance"), Some(maintained)),
        ],
    ];
    for ((name, answer), expected) in FIXTURES.iter().zip(expected) {
        assert_eq!(verdicts(answer.as_bytes()), Ok(expected), "{name}");
    }
}

/// An answer with these criteria.
fn answer(criteria: &str) -> String {
    format!(
        r#"<AcknowledgeOperationsPerformance xmlns="http://www.mesa.org/xml/B2MML"><DataArea><Acknowledge>
        <OriginalApplicationArea><BODID>7</BODID></OriginalApplicationArea>{criteria}</Acknowledge></DataArea></AcknowledgeOperationsPerformance>"#
    )
}

fn said(action: &str) -> String {
    format!(
        r#"<ResponseCriteria><ResponseExpression actionCode="{action}">/</ResponseExpression></ResponseCriteria>"#
    )
}

#[test]
fn only_a_clear_word_is_a_verdict() {
    let status = |status: &str| {
        format!("<ResponseCriteria><ChangeStatus>{status}</ChangeStatus></ResponseCriteria>")
    };
    let cases = [
        (said("Accepted"), Some(true)),
        (said("Modified"), Some(true)),
        (said(" rejected "), Some(false)),
        (said("Accepted") + &said("Rejected"), Some(false)),
        (said("Rejected") + &said("Accepted"), Some(false)),
        (said("&#82;ejected"), Some(false)),
        (status("<Code>Rejected</Code>"), Some(false)),
        (status("<Code><![CDATA[Accepted]]></Code>"), Some(true)),
        (status("<Code>Acc<!-- -->epted</Code>"), Some(true)),
        (status("<Code>Open</Code>"), None),
        (said("Replace"), None),
        (said("Accepted") + &said("Perhaps"), None),
        (said(""), None),
        ("<ResponseCriteria/>".to_owned(), None),
        (String::new(), None),
    ];
    for (criteria, expected) in cases {
        let verdicts = verdicts(answer(&criteria).as_bytes());
        match expected {
            Some(accepted) => assert_eq!(verdicts.unwrap()[0].accepted, accepted, "{criteria}"),
            None => assert_eq!(verdicts, Err(AnswerError::NoVerdict), "{criteria}"),
        }
    }
}

#[test]
fn what_is_no_answer_of_b2mml_says_nothing() {
    let good = FIXTURES[0].1;
    let elsewhere = good.replace("B2MML\"", "B2MML-V0600\"");
    let nowhere = good.replace(" xmlns=\"http://www.mesa.org/xml/B2MML\"", "");
    let unbound = FIXTURES[1].1.replace("xmlns:m=", "xmlns:n=");
    let others = [
        elsewhere.as_str(),
        &nowhere,
        &unbound,
        "<html><body>It works!</body></html>",
        "<SyncEquipment xmlns=\"http://www.mesa.org/xml/B2MML\"/>",
    ];
    for other in others {
        assert_eq!(
            verdicts(other.as_bytes()),
            Err(AnswerError::NotAnAnswer),
            "{other:.80}"
        );
    }
    let broken = [
        "",
        "  ",
        "{\"status\": \"accepted\"}",
        "Accepted",
        "<ConfirmBOD",
        "<ConfirmBOD></ConfirmBod>",
        "<a></a><a></a>",
        "<a></a>and more",
        "<a b='1' b='2'/>",
        "<a>\u{1}</a>",
        "<a>&#1;</a>",
        "<a>&#xD800;</a>",
        "<a b='&nothing;'/>",
        good.get(..good.len() - 3).unwrap(),
    ];
    for broken in broken {
        let answer = verdicts(broken.as_bytes());
        assert!(
            matches!(answer, Err(AnswerError::NotXml(_))),
            "{broken:.80}: {answer:?}"
        );
    }
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert!(verdicts(&utf16).is_err());
    assert_eq!(verdicts(b"<a>\xff</a>"), Err(AnswerError::NotText));
    let marked = format!("\u{feff}{good}");
    assert_eq!(verdicts(marked.as_bytes()), verdicts(good.as_bytes()));
}

#[test]
fn what_is_there_twice_is_no_verdict() {
    let area = "<OriginalApplicationArea><BODID>8</BODID></OriginalApplicationArea>";
    let doubled = answer(&(said("Accepted") + area));
    assert_eq!(
        verdicts(doubled.as_bytes()),
        Err(AnswerError::Twice("OriginalApplicationArea"))
    );
    let ids = answer(&said("Accepted")).replace("</BODID>", "</BODID><BODID>8</BODID>");
    assert_eq!(verdicts(ids.as_bytes()), Err(AnswerError::Twice("BODID")));
    let anonymous = answer(&said("Accepted")).replace("<BODID>7</BODID>", "<BODID> </BODID>");
    assert_eq!(verdicts(anonymous.as_bytes()).unwrap()[0].bod_id, None);
}

#[test]
fn hostile_xml_is_refused_at_once() {
    let laughs = format!(
        "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;&b;\">]>{}",
        answer(&said("&c;"))
    );
    assert_eq!(
        verdicts(laughs.as_bytes()),
        Err(AnswerError::Forbidden("a document type"))
    );
    let file = "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/hostname\">]><a>&b;</a>";
    assert_eq!(
        verdicts(file.as_bytes()),
        Err(AnswerError::Forbidden("a document type"))
    );
    let entity = answer("<ResponseCriteria>&b;</ResponseCriteria>");
    assert_eq!(
        verdicts(entity.as_bytes()),
        Err(AnswerError::Forbidden("an entity of its own"))
    );
    let deep = "<a>".repeat(20_000);
    assert!(matches!(
        verdicts(deep.as_bytes()),
        Err(AnswerError::Forbidden(_))
    ));
    let large = answer(&said("Accepted")) + &" ".repeat(MAX_ANSWER_BYTES);
    assert_eq!(verdicts(large.as_bytes()), Err(AnswerError::TooLarge));
    let names: String = (0..4_000).map(|at| format!(" xmlns:n{at}='u'")).collect();
    assert!(verdicts(format!("<a{names}/>").as_bytes()).is_err());
    let attributes: String = (0..7_000).map(|at| format!(" n{at}=''")).collect();
    assert!(verdicts(format!("<a{attributes}/>").as_bytes()).is_err());
}

#[test]
fn long_words_are_cut() {
    let long = "ü".repeat(5_000);
    let criteria = format!(
        "<ResponseCriteria><ChangeStatus><Code>Rejected</Code><Description>{long}</Description><ReasonCode>{long}</ReasonCode></ChangeStatus></ResponseCriteria>"
    );
    let verdict = verdicts(answer(&criteria).as_bytes()).unwrap().remove(0);
    assert_eq!(verdict.code.unwrap().chars().count(), MAX_CODE);
    assert_eq!(verdict.detail.unwrap().chars().count(), MAX_DETAIL);
}

/// One change: a byte, a stretch that goes, comes twice or comes from elsewhere, or something that XML makes much of.
fn spoil(random: &mut Rng, text: &mut Vec<u8>) {
    const PIECES: [&str; 12] = [
        "<",
        ">",
        "&",
        "\"",
        "<!DOCTYPE a>",
        "<![CDATA[",
        "-->",
        "&#0;",
        "xmlns=''",
        "actionCode=\"Accepted\"",
        "<Acknowledge>",
        "\u{0}",
    ];
    let stretch = |random: &mut Rng, length: usize| {
        let from = random.usize(..=length);
        from..length.min(from + random.usize(..80))
    };
    let at = random.usize(..=text.len());
    match random.u8(..5) {
        0 => {
            if let Some(byte) = text.get_mut(at) {
                *byte = random.u8(..);
            }
        }
        1 => drop(text.drain(stretch(random, text.len()))),
        2 => {
            let copied = text[stretch(random, text.len())].to_vec();
            text.splice(at..at, copied);
        }
        3 => text.truncate(at),
        _ => {
            let piece = PIECES[random.usize(..PIECES.len())];
            text.splice(at..at, piece.bytes());
        }
    }
}

#[test]
fn a_spoilt_answer_is_an_answer_or_an_error_and_never_more() {
    let seed = fastrand::u64(..);
    let mut random = Rng::with_seed(seed);
    let (mut understood, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        for (name, answer) in FIXTURES {
            let mut text = answer.as_bytes().to_vec();
            for _ in 0..random.usize(1..4) {
                spoil(&mut random, &mut text);
            }
            match verdicts(&text) {
                Ok(verdicts) => {
                    understood += 1;
                    assert!((1..=8).contains(&verdicts.len()), "seed {seed}: {name}");
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(
        understood > 0 && refused > 0,
        "seed {seed}: {understood} and {refused}"
    );
}
