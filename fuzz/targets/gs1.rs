//! What a scanner sends as GS1: whatever it is, its elements are parts of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millgate::model::gs1;

fuzz_target!(|text: &str| {
    let rest = match gs1::split_symbology(text) {
        Some((symbology, rest)) => {
            assert_eq!(symbology.len() + rest.len(), text.len());
            std::hint::black_box(gs1::means_gs1(symbology));
            rest
        }
        None => text,
    };
    let Ok(elements) = gs1::elements(rest) else {
        return;
    };
    for element in elements {
        assert!(gs1::is_identifier(element.identifier), "{element:?}");
        assert!(rest.contains(element.value), "{element:?}");
        assert!(element.number().is_none_or(f64::is_finite), "{element:?}");
        if let Some(date) = element.date() {
            assert!((1..=12).contains(&date.month), "{element:?}");
        }
    }
});
