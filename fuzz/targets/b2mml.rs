//! What a MES answers in B2MML: whatever it is, its verdicts are bounded, and there is one or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millgate::format::b2mml;

/// The two ends of an answer: most inputs fail at the root; inside of one the rest is reached too.
const BEFORE: &str = r#"<ConfirmBOD xmlns="http://www.mesa.org/xml/B2MML"><DataArea><Confirm>"#;
const AFTER: &str = "</Confirm></DataArea></ConfirmBOD>";

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    check(&[BEFORE.as_bytes(), bytes, AFTER.as_bytes()].concat());
    // An event as it lies in the store, or what is left of one.
    let _document = b2mml::document(bytes).is_ok();
});

fn check(bytes: &[u8]) {
    let Ok(verdicts) = b2mml::verdicts(bytes) else {
        return;
    };
    assert!(!verdicts.is_empty());
    for verdict in verdicts {
        assert!(verdict.code.is_none_or(|code| code.chars().count() <= 128));
        assert!(verdict.detail.is_none_or(|detail| detail.chars().count() <= 1_024));
        assert!(verdict.bod_id.is_none_or(|id| id.trim() == id && !id.is_empty()));
    }
}
