//! What `check` says of OPC UA devices and of the box that they are read from.

use super::*;
use std::path::Path;

/// All warnings of a machine with one server, whose state lies in `state`.
fn warned(server: &str, state: &Path) -> Vec<String> {
    let text = format!(
        "gateway: {{ id: g, path: [E] }}\nmachine: M\nbuffer: {{ path: {} }}\ndevices:\n  filler:\n    opc_ua: {{ endpoint: 'opc.tcp://plc', {server} }}\n    tags:\n      n: {{ node: 'i=2258' }}\n",
        state.display()
    );
    let loaded = load(&text).unwrap_or_else(|problems| panic!("{problems:?}"));
    let warnings = loaded.warnings().into_iter();
    warnings
        .filter(|problem| problem.path.contains("opc_ua"))
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect()
}

#[test]
fn what_a_server_needs_of_the_box_is_a_warning_where_it_is_not_there() {
    let state = tempfile::tempdir().unwrap();
    let there = state.path().join("there");
    std::fs::write(&there, "").unwrap();
    let there = there.display();
    let table: Vec<(String, Vec<&str>)> = vec![
        (
            String::new(),
            vec![
                "devices.filler.opc_ua: the server will ask for our certificate",
                "`millgate opcua keygen`",
            ],
        ),
        ("insecure: true".into(), vec![]),
        (
            "insecure: true, user: { name: u, password: { file: /no/such } }".into(),
            vec![
                "opc_ua.user: the password may travel unencrypted",
                "/no/such is not on this machine",
            ],
        ),
        (
            "insecure: true, certificate: { cert: /no/cert, key: { file: /no/key } }".into(),
            vec![
                "certificate.cert: /no/cert is not on this machine",
                "certificate.key.file: /no/key is not on this machine",
            ],
        ),
        (
            format!("insecure: true, certificate: {{ cert: {there}, key: {{ file: {there} }} }}"),
            vec![],
        ),
    ];
    for (server, words) in table {
        let said = warned(&server, state.path()).join("\n");
        assert_eq!(said.is_empty(), words.is_empty(), "{server}: {said}");
        for word in words {
            assert!(said.contains(word), "{server}: `{word}` is not in: {said}");
        }
    }
}

#[test]
fn our_certificate_is_not_missed_where_it_is() {
    let state = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(state.path().join("pki/own")).unwrap();
    std::fs::write(state.path().join("pki/own/cert.der"), "").unwrap();
    assert_eq!(warned("timeout: 5s", state.path()), Vec::<String>::new());
}
