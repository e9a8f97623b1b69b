//! Whatever stands in the file: a plant or problems with places in it, never a panic. A failure prints its seed.

use super::{FILLER, LATHE, LINE, PRESS, SHOP, TWO};
use crate::settings::{Source, effective, load, text};
use proptest::prelude::*;

const EXAMPLES: [&str; 6] = [PRESS, TWO, LINE, SHOP, LATHE, FILLER];

/// A plant that can be written and read again, or problems that can be shown.
fn survives(bytes: Vec<u8>) {
    let Ok(file) = text(bytes) else { return };
    match load(&file) {
        Ok(loaded) => {
            let _warnings = loaded.warnings();
            let again = load(&effective(&loaded.file)).map(|again| again.plant.digest);
            assert_eq!(again.ok(), Some(loaded.plant.digest), "{file}");
        }
        Err(problems) => {
            assert!(!problems.list.is_empty());
            let lines = file.matches(['\n', '\r']).count() + 1;
            for problem in &problems.list {
                let place = problems.places.of(problem);
                assert!(
                    (1..=lines).contains(&place.line),
                    "{problem:?} {place:?}\n{file}"
                );
                assert!(!problem.message.is_empty());
            }
            let source = Source {
                name: "a.yaml",
                text: &file,
                colour: true,
            };
            assert!(!source.explain_all(&problems).is_empty());
        }
    }
}

/// Pieces that settings are made of, and some that they are not.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\n".to_owned()),
        Just("  ".to_owned()),
        Just("- ".to_owned()),
        Just(": ".to_owned()),
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            "\"",
            "'",
            "&a",
            "*a",
            "!",
            "|",
            ">",
            "? ",
            "---\n",
            "...\n",
            "#",
            "\t",
            "~",
            "null",
            "true",
            "-1",
            "1e999",
            "0x",
            "99999999999999999999",
            ".nan",
            "65536",
            "40001",
            "é",
            "\u{feff}",
        ])
        .prop_map(str::to_owned),
        prop::sample::select(vec![
            "gateway",
            "machine",
            "machines",
            "devices",
            "tags",
            "modbus_tcp",
            "holding",
            "coil",
            "type",
            "text",
            "bit",
            "equipment",
            "state",
            "counters",
            "operations",
            "start",
            "end",
            "quality",
            "of",
            "pieces",
            "uplinks",
            "mqtt",
            "http",
            "url",
            "user",
            "password",
            "events",
            "topic",
            "buffer",
            "lost_after",
            "every",
            "range",
            "templates",
            "template",
            "parameters",
            "\"{host}\"",
            "{host}",
            "{{host}}",
            "calendars",
            "mon-fri",
            "\"06:00\"",
            "24:00",
            "scans",
            "pattern",
            "gs1",
            "is",
            "until",
            "during",
            "packml",
            "downtime",
            "IDLE/starved",
            "alarms",
            "maintenance",
            "measurements",
            "limits",
            "0s",
            "3650d",
        ])
        .prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        survives(bytes);
    }

    #[test]
    fn any_text(given in ".{0,200}") {
        survives(given.into_bytes());
    }

    #[test]
    fn words_of_settings_in_any_order(words in prop::collection::vec(fragment(), 0..60)) {
        survives(words.concat().into_bytes());
    }

    #[test]
    fn an_example_with_some_changes(
        which in 0..EXAMPLES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..12, fragment()), 1..5),
    ) {
        let mut letters: Vec<char> = EXAMPLES[which].chars().collect();
        for (at, cut, put) in changes {
            let at = at.index(letters.len());
            let end = (at + cut).min(letters.len());
            letters.splice(at..end, put.chars());
        }
        survives(letters.into_iter().collect::<String>().into_bytes());
    }

    #[test]
    fn an_example_with_a_value_replaced(
        which in 0..EXAMPLES.len(),
        at in any::<prop::sample::Index>(),
        put in fragment(),
    ) {
        let example = EXAMPLES[which];
        let starts: Vec<usize> = example.match_indices(": ").map(|(at, _)| at + 2).collect();
        let start = starts[at.index(starts.len())];
        let rest = &example[start..];
        let end = start + rest.find([',', '}', '\n']).unwrap_or(rest.len());
        survives([&example[..start], &put, &example[end..]].concat().into_bytes());
    }

    #[test]
    fn an_example_cut_off_anywhere(which in 0..EXAMPLES.len(), at in any::<prop::sample::Index>()) {
        let example = EXAMPLES[which];
        survives(example.as_bytes()[..at.index(example.len())].to_vec());
    }
}
