//! The folder: what is kept, how much of it, and under which names.

use super::verdicts::put;
use super::zoo::{Animal, HOST, Key, NOW, URI};
use millgate::acquire::opc_ua::trust::{
    Certificate, MAX_REJECTED, NewOwn, Own, Place, Thumbprint, Trust,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_was_refused_is_kept_with_the_reason_under_its_thumbprint() {
    let pki = tempfile::tempdir().unwrap();
    let trust = Trust::open(pki.path());
    // A name that would leave the folder, if names were taken from certificates.
    let subject = "CN=../../trusted/x,O=EXAMPLE".to_owned();
    let der = Animal {
        subject,
        ..Animal::good()
    }
    .der();
    let refused = trust.verify(&der, HOST, URI, NOW).unwrap_err();
    let file = pki
        .path()
        .join("rejected")
        .join(format!("{}.der", Thumbprint::of(&der)));
    assert_eq!(fs::read(&file).unwrap(), der);
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(&pki.path().join("rejected")), 0o700);
    let kept = trust.list(Place::Rejected).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].reason.as_deref(), Some(refused.detail.as_str()));
    assert!(!pki.path().join("trusted").exists());
}

#[test]
fn a_server_that_is_refused_for_years_is_written_once() {
    let pki = tempfile::tempdir().unwrap();
    let trust = Trust::open(pki.path());
    let der = Animal::good().der();
    trust.verify(&der, HOST, URI, NOW).unwrap_err();
    let file = pki
        .path()
        .join("rejected")
        .join(format!("{}.der", Thumbprint::of(&der)));
    // A file that is written again is another file.
    let number = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    fs::hard_link(&file, pki.path().join("witness")).unwrap();
    trust.verify(&der, HOST, URI, NOW).unwrap_err();
    assert_eq!(number(&file), number(&pki.path().join("witness")));
    // Another reason is news.
    trust.verify(&der, "plc-05.example", URI, NOW).unwrap_err();
    let kept = trust.list(Place::Rejected).unwrap();
    assert!(
        kept[0]
            .reason
            .as_deref()
            .unwrap()
            .contains("plc-05.example")
    );
}

#[test]
fn only_the_newest_that_were_refused_are_kept() {
    let pki = tempfile::tempdir().unwrap();
    let trust = Trust::open(pki.path());
    let mut last = Vec::new();
    for n in 0..MAX_REJECTED + 5 {
        last = format!("not a certificate, number {n}").into_bytes();
        trust.verify(&last, HOST, URI, NOW).unwrap_err();
    }
    let kept = trust.list(Place::Rejected).unwrap();
    assert_eq!(kept.len(), MAX_REJECTED);
    assert!(
        kept.iter()
            .any(|filed| filed.thumbprint == Thumbprint::of(&last))
    );
    let files = fs::read_dir(pki.path().join("rejected")).unwrap().count();
    assert_eq!(
        files,
        2 * MAX_REJECTED,
        "each has its reason, and nothing else lies there"
    );
}

#[test]
fn what_is_longer_than_a_certificate_is_not_kept() {
    let pki = tempfile::tempdir().unwrap();
    let trust = Trust::open(pki.path());
    trust.verify(&vec![7; 9_000], HOST, URI, NOW).unwrap_err();
    assert!(trust.list(Place::Rejected).unwrap().is_empty());
}

#[test]
fn trust_takes_effect_at_the_next_question_and_ends_so() {
    let pki = tempfile::tempdir().unwrap();
    let trust = Trust::open(pki.path());
    let der = Animal::good().der();
    let thumbprint = Thumbprint::of(&der);
    let good = || trust.verify(&der, HOST, URI, NOW).is_ok();
    assert!(!good());
    trust.trust(&Certificate::from_der(&der).unwrap()).unwrap();
    assert!(good());
    assert!(trust.list(Place::Rejected).unwrap().is_empty());
    assert!(trust.remove(Place::Trusted, &thumbprint).unwrap());
    assert!(!trust.remove(Place::Trusted, &thumbprint).unwrap());
    assert!(!good());
}

#[test]
fn pem_files_and_files_that_are_none_may_lie_in_the_trust_list() {
    let pki = tempfile::tempdir().unwrap();
    let der = Animal::good().der();
    put(pki.path(), "trusted", &[b"garbage", &[0x30; 40_000]]);
    let trusted = pki.path().join("trusted");
    fs::write(trusted.join("readme.txt"), "copy certificates here").unwrap();
    fs::create_dir(trusted.join("old.der")).unwrap();
    let trust = Trust::open(pki.path());
    assert!(trust.verify(&der, HOST, URI, NOW).is_err());
    let pem = pem(&der);
    fs::write(trusted.join("filler.crt"), format!("Filler, line 2\n{pem}")).unwrap();
    assert!(trust.verify(&der, HOST, URI, NOW).is_ok());
}

/// As `openssl x509` writes it.
pub(super) fn pem(der: &[u8]) -> String {
    let certificate = x509_cert::der::pem::LineEnding::LF;
    x509_cert::der::pem::encode_string("CERTIFICATE", certificate, der).unwrap()
}

#[test]
fn a_trust_list_that_cannot_be_read_trusts_nobody_and_says_so() {
    let pki = tempfile::tempdir().unwrap();
    // A file in the place of the folder: permissions do not stop root, who runs tests in containers.
    fs::write(pki.path().join("trusted"), "").unwrap();
    let refused = Trust::open(pki.path())
        .verify(&Animal::good().der(), HOST, URI, NOW)
        .unwrap_err();
    assert_eq!(refused.code, "denied");
    assert!(refused.detail.contains("trusted"), "{refused}");
}

fn wish() -> NewOwn {
    NewOwn {
        application_uri: "urn:box:millgate:GW-1".into(),
        name: "Millgate GW-1, \"east\"".into(),
        hosts: vec!["box".into(), "192.0.2.9".into()],
        days: 365,
        bits: 2048,
    }
}

#[test]
fn our_own_certificate_says_who_we_are() {
    let pki = tempfile::tempdir().unwrap();
    let pki = pki.path().join("pki");
    let absent = Own::load(&pki).unwrap_err();
    assert!(absent.detail.contains("millgate opcua keygen"), "{absent}");
    let now = u64::try_from(NOW).unwrap();
    let own = Own::make(&pki, &wish(), false, now).unwrap();
    assert_eq!(own.application_uri(), "urn:box:millgate:GW-1");
    assert_eq!(own.certificate().names().hosts, ["box"]);
    assert_eq!(
        own.certificate().common_name().unwrap(),
        "Millgate GW-1, \"east\""
    );
    for (path, expected) in [
        (own.key_path(), 0o600),
        (&pki.join("own"), 0o700),
        (&pki, 0o700),
    ] {
        assert_eq!(mode(path), expected, "{}", path.display());
    }
    assert_eq!(own.check_dates(NOW), Ok(()));
    for now in [NOW - 2 * 86_400, NOW + 366 * 86_400] {
        let error = own.check_dates(now).unwrap_err();
        assert!(
            error.detail.contains("our own certificate is valid from"),
            "{error}"
        );
    }
    // A server that trusts it judges as we do.
    put(&pki, "trusted", &[own.certificate().der()]);
    let verdict = Trust::open(&pki).verify(
        own.certificate().der(),
        "192.0.2.9",
        own.application_uri(),
        NOW,
    );
    assert_eq!(verdict, Ok(()));
    // Nothing is replaced unasked.
    assert!(
        Own::make(&pki, &wish(), false, now)
            .unwrap_err()
            .to_string()
            .contains("--force")
    );
    assert_eq!(Own::load(&pki).unwrap().thumbprint(), own.thumbprint());
    // A key of another certificate is noticed.
    fs::write(own.key_path(), Key::Stranger.pem()).unwrap();
    let error = Own::load(&pki).unwrap_err();
    assert!(error.detail.contains("not the key"), "{error}");
}

#[test]
fn wishes_that_no_certificate_can_fulfil_are_refused() {
    let pki = tempfile::tempdir().unwrap();
    let now = u64::try_from(NOW).unwrap();
    for (wish, now, word) in [
        (
            NewOwn {
                bits: 1024,
                ..wish()
            },
            now,
            "1024 bits",
        ),
        (NewOwn { days: 0, ..wish() }, now, "0 days"),
        (
            NewOwn {
                hosts: vec![],
                ..wish()
            },
            now,
            "0 host names",
        ),
        (
            NewOwn {
                hosts: vec!["a b".into()],
                ..wish()
            },
            now,
            "`a b` is no host name",
        ),
        (wish(), 1_000, "clock"),
    ] {
        let error = Own::make(pki.path(), &wish, false, now)
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "{error}");
        assert!(!pki.path().join("own").exists());
    }
}
