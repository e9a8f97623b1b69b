//! Each animal of the zoo, and what is said of it.

use super::zoo::{Animal, HOST, Hash, Key, NOW, URI};
use millgate::acquire::opc_ua::trust::{Place, Thumbprint, Trust};
use std::fs;
use std::path::Path;

/// Puts certificates into a place, as a person with a file manager does.
pub(super) fn put(pki: &Path, place: &str, ders: &[&[u8]]) {
    let folder = pki.join(place);
    fs::create_dir_all(&folder).unwrap();
    for (n, der) in ders.iter().enumerate() {
        fs::write(folder.join(format!("{n}.der")), der).unwrap();
    }
}

/// What is said of `sent` when `trusted` are trusted; `None` when it is good.
fn verdict(trusted: &[&[u8]], sent: &[u8]) -> Option<String> {
    let pki = tempfile::tempdir().unwrap();
    put(pki.path(), "trusted", trusted);
    let trust = Trust::open(pki.path());
    let refused = trust.verify(sent, HOST, URI, NOW).err()?;
    assert_eq!(refused.code, "untrusted");
    assert!(
        refused.detail.chars().count() <= 200 && !refused.detail.ends_with('…'),
        "cut: {}",
        refused.detail
    );
    Some(refused.detail)
}

/// A server that is refused although it is trusted, for a fault that its message names.
#[test]
fn trust_excuses_no_fault() {
    let zoo: Vec<(&str, Animal, &[&str])> = vec![
        (
            "expired",
            Animal {
                valid: (NOW - 20_000_000, NOW - 60),
                ..Animal::good()
            },
            &[
                "ended on 2026-11-22 08:59 UTC",
                "here it is 2026-11-22 09:00 UTC",
                "box's clock",
            ],
        ),
        (
            "not yet valid",
            Animal {
                valid: (NOW + 60, NOW + 20_000_000),
                ..Animal::good()
            },
            &[
                "valid from 2026-11-22 09:01 UTC on",
                "clocks of box and server",
            ],
        ),
        (
            "wrong host",
            Animal {
                hosts: vec!["plc-05.example".into(), "192.0.2.5".into()],
                ..Animal::good()
            },
            &[
                "for plc-05.example, 192.0.2.5, not for plc-04.example",
                "`endpoint`",
            ],
        ),
        (
            "no host",
            Animal {
                hosts: vec![],
                ..Animal::good()
            },
            &["for Filler, not for plc-04.example"],
        ),
        (
            "wrong application URI",
            Animal {
                uris: vec!["urn:else".into()],
                ..Animal::good()
            },
            &[
                "calls itself urn:plc-04.example:EXAMPLE:Filler",
                "is for urn:else",
                "new one on the server",
            ],
        ),
        (
            "no application URI",
            Animal {
                uris: vec![],
                ..Animal::good()
            },
            &["its certificate is for nobody"],
        ),
        (
            "1,024 bits",
            Animal {
                made_up_bits: Some(1024),
                ..Animal::good()
            },
            &["1024 bits", "2048 to 4096"],
        ),
        (
            "2,047 bits",
            Animal {
                made_up_bits: Some(2047),
                ..Animal::good()
            },
            &["2047 bits"],
        ),
        (
            "4,097 bits",
            Animal {
                made_up_bits: Some(4097),
                ..Animal::good()
            },
            &["4097 bits"],
        ),
        (
            "8,192 bits",
            Animal {
                made_up_bits: Some(8192),
                ..Animal::good()
            },
            &["8192 bits"],
        ),
        (
            "SHA-1",
            Animal {
                hash: Hash::Sha1,
                ..Animal::good()
            },
            &["signed with SHA-1", "SHA-256"],
        ),
    ];
    for (name, animal, words) in zoo {
        let der = animal.der();
        let said = verdict(&[&der], &der).unwrap_or_else(|| panic!("{name} was let in"));
        for word in words {
            assert!(said.contains(word), "{name}: `{word}` is not in: {said}");
        }
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let good = Animal::good().der();
    let long = Animal {
        padding: 400,
        ..Animal::good()
    }
    .der();
    assert!((8193..16_384).contains(&long.len()), "{}", long.len());
    let endless = vec![0x30; 1 << 20];
    let row = good.repeat(5);
    let zoo: [(&str, &[u8], &str); 9] = [
        ("nothing", &[], "cannot be read"),
        ("garbage", b"-----BEGIN NONSENSE-----", "cannot be read"),
        ("cut", &good[..good.len() - 1], "cannot be read"),
        (
            "cut in the middle",
            &good[..good.len() / 2],
            "cannot be read",
        ),
        (
            "a length that lies",
            &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF, 0x00],
            "cannot be read",
        ),
        (
            "something after it",
            &[&good[..], &[0x05, 0x00]].concat(),
            "cannot be read",
        ),
        ("longer than 8 KiB", &long, "at most 8192"),
        ("a megabyte", &endless, "1048576 bytes"),
        ("five in a row", &row, "5 certificates in a row"),
    ];
    for (name, sent, word) in zoo {
        let said = verdict(&[&good], sent).unwrap_or_else(|| panic!("{name} was let in"));
        assert!(said.contains(word), "{name}: {said}");
    }
}

#[test]
fn a_stranger_is_refused_with_the_command_that_trusts_it() {
    let der = Animal::good().der();
    let command = format!("`millgate opcua trust {}`", Thumbprint::of(&der));
    let said = verdict(&[], &der).unwrap();
    assert!(
        said.contains("compare its thumbprint") && said.ends_with(&command),
        "{said}"
    );

    let issued = Animal::issued().der();
    let command = format!("`millgate opcua trust {}`", Thumbprint::of(&issued));
    let said = verdict(&[], &issued).unwrap();
    assert!(
        said.contains("CN=Plant CA") && said.ends_with(&command),
        "{said}"
    );
}

#[test]
fn the_very_certificate_is_trusted_and_no_other_of_the_same_names() {
    let good = Animal::good().der();
    assert_eq!(verdict(&[&good], &good), None);
    let twin = Animal {
        serial: 8,
        ..Animal::good()
    }
    .der();
    assert!(verdict(&[&good], &twin).unwrap().contains("not trusted"));
    let other_key = Animal {
        key: Key::Stranger,
        signer: Key::Stranger,
        ..Animal::good()
    }
    .der();
    assert!(
        verdict(&[&good], &other_key)
            .unwrap()
            .contains("not trusted")
    );
}

#[test]
fn hosts_are_names_or_addresses_however_they_are_written() {
    let pki = tempfile::tempdir().unwrap();
    let hosts = vec![
        "PLC-04.Example".into(),
        "192.0.2.4".into(),
        "2001:db8::4".into(),
    ];
    let der = Animal {
        hosts,
        ..Animal::good()
    }
    .der();
    put(pki.path(), "trusted", &[&der]);
    let trust = Trust::open(pki.path());
    for (host, good) in [
        ("plc-04.example", true),
        ("plc-04.example.", true),
        ("192.0.2.4", true),
        ("[2001:db8::4]", true),
        ("2001:DB8:0:0::4", true),
        ("plc-04", false),
        ("example", false),
        ("192.0.2.40", false),
        ("", false),
    ] {
        assert_eq!(trust.verify(&der, host, URI, NOW).is_ok(), good, "{host}");
    }
}

#[test]
fn a_common_name_counts_only_where_no_host_is_named() {
    let named = Animal {
        subject: format!("CN={HOST}"),
        hosts: vec![],
        ..Animal::good()
    };
    let der = named.der();
    assert_eq!(verdict(&[&der], &der), None);
    let der = Animal {
        hosts: vec!["plc-05.example".into()],
        ..named
    }
    .der();
    assert!(
        verdict(&[&der], &der)
            .unwrap()
            .contains("not for plc-04.example")
    );
}

#[test]
fn who_an_authority_has_signed_is_trusted_with_it() {
    let authority = Animal::authority().der();
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let der = Animal {
            hash,
            ..Animal::issued()
        }
        .der();
        assert_eq!(verdict(&[&authority], &der), None, "{hash:?}");
    }
    // Its name alone is worth nothing.
    let forged = Animal {
        signer: Key::Stranger,
        ..Animal::issued()
    }
    .der();
    assert!(
        verdict(&[&authority], &forged)
            .unwrap()
            .contains("CN=Plant CA")
    );
    // A name is not taken for a signature in a changed certificate, either.
    let mut changed = Animal::issued().der();
    let at = changed
        .windows(6)
        .rposition(|part| part == b"Filler")
        .unwrap();
    changed[at] = b'f';
    let uri = URI.replace("Filler", "filler");
    let pki = tempfile::tempdir().unwrap();
    put(pki.path(), "trusted", &[&authority]);
    assert!(
        Trust::open(pki.path())
            .verify(&changed, HOST, &uri, NOW)
            .is_err()
    );
}

#[test]
fn an_authority_has_faults_too() {
    let table: Vec<(&str, Animal, &str)> = vec![
        (
            "no authority",
            Animal {
                authority: None,
                ..Animal::authority()
            },
            "may not sign certificates",
        ),
        (
            "expired",
            Animal {
                valid: (NOW - 9, NOW - 5),
                ..Animal::authority()
            },
            "has expired",
        ),
        (
            "too early",
            Animal {
                valid: (NOW + 5, NOW + 9),
                ..Animal::authority()
            },
            "is not valid yet",
        ),
    ];
    for (name, authority, word) in table {
        let said = verdict(&[&authority.der()], &Animal::issued().der());
        let said = said.unwrap_or_else(|| panic!("{name} was let in"));
        assert!(
            said.contains(word) && said.contains("CN=Plant CA"),
            "{name}: {said}"
        );
    }
}

/// A row of authorities, each signed by the next one, down to a server; the last is self-signed.
fn row(between: usize, path_length: Option<u8>) -> (Vec<u8>, Vec<Vec<u8>>) {
    let name = |n: usize| format!("CN=CA {n},O=EXAMPLE");
    let server = Animal {
        issuer: Some(name(0)),
        signer: Key::Authority,
        ..Animal::good()
    };
    let authority = |n: usize| {
        Animal {
            subject: name(n),
            issuer: Some(name((n + 1).min(between))),
            authority: Some(path_length.filter(|_| n == between)),
            ..Animal::authority()
        }
        .der()
    };
    (server.der(), (0..=between).map(authority).collect())
}

#[test]
fn a_chain_has_at_most_four_and_the_authority_says_how_many() {
    for (between, path_length, good) in [
        (0, None, true),
        (1, None, true),
        (2, None, true),
        (3, None, false),
        (1, Some(1), true),
        (1, Some(0), false),
        (0, Some(0), true),
    ] {
        let (server, authorities) = row(between, path_length);
        let root = authorities.last().unwrap().clone();
        let pki = tempfile::tempdir().unwrap();
        put(pki.path(), "trusted", &[&root]);
        let between_ones: Vec<&[u8]> = authorities.iter().map(Vec::as_slice).collect();
        put(pki.path(), "issuers", &between_ones);
        let verdict = Trust::open(pki.path()).verify(&server, HOST, URI, NOW);
        assert_eq!(
            verdict.is_ok(),
            good,
            "{between} between, {path_length:?}: {verdict:?}"
        );
    }
}

#[test]
fn what_a_server_sends_along_helps_only_on_the_way_to_somebody_trusted() {
    let (server, authorities) = row(1, None);
    let sent = [
        server.clone(),
        authorities[0].clone(),
        authorities[1].clone(),
    ]
    .concat();
    assert_eq!(verdict(&[&authorities[1]], &sent), None);
    assert!(verdict(&[], &sent).unwrap().contains("who is not trusted"));
    // `issuers` is not `trusted`.
    let pki = tempfile::tempdir().unwrap();
    put(pki.path(), "issuers", &[&authorities[0], &authorities[1]]);
    assert!(
        Trust::open(pki.path())
            .verify(&server, HOST, URI, NOW)
            .is_err()
    );
}

#[test]
fn authorities_that_vouch_for_each_other_end_the_search() {
    let one = Animal {
        issuer: Some("CN=Ring 2".into()),
        subject: "CN=Ring 1".into(),
        ..Animal::authority()
    }
    .der();
    let two = Animal {
        issuer: Some("CN=Ring 1".into()),
        subject: "CN=Ring 2".into(),
        ..Animal::authority()
    }
    .der();
    let server = Animal {
        issuer: Some("CN=Ring 1".into()),
        signer: Key::Authority,
        ..Animal::good()
    }
    .der();
    let sent = [server, one, two].concat();
    assert!(verdict(&[], &sent).unwrap().contains("CN=Ring 1"));
}

#[test]
fn hostile_bytes_in_a_certificate_neither_panic_nor_get_in() {
    let good = Animal::good().der();
    let pki = tempfile::tempdir().unwrap();
    put(pki.path(), "trusted", &[&good]);
    let trust = Trust::open(pki.path());
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..2_000 {
        let mut bytes = good.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        bytes.truncate(random.usize(bytes.len() / 2..=bytes.len()));
        if bytes != good {
            assert!(trust.verify(&bytes, HOST, URI, NOW).is_err(), "seed {seed}");
        }
    }
    let kept = trust.list(Place::Rejected).unwrap();
    assert!(kept.len() <= millgate::acquire::opc_ua::trust::MAX_REJECTED);
}
