//! Servers with certificates of the zoo, read by the running links: refused with the reason, kept, trusted without a restart.

use super::server::{NAMESPACE, Server};
use crate::modbus::cell::{Cell, good};
use crate::opc_ua_pki::zoo::{Animal, Hash, Key, URI};
use millgate::acquire::opc_ua::trust::{NewOwn, Own, Place, Thumbprint, Trust};
use millgate::model::Content;
use opcua::crypto::SecurityPolicy;
use opcua::server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerEndpoint};
use opcua::types::MessageSecurityMode;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 86_400;

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// A server here without fault.
fn here() -> Animal {
    Animal {
        hosts: vec!["127.0.0.1".to_owned()],
        valid: (now() - DAY, now() + DAY),
        ..Animal::good()
    }
}

/// Serves with that certificate, to any client.
async fn serve(pki: &Path, certificate: &[u8]) -> Server {
    for (name, content) in [
        ("own/cert.der", certificate),
        ("private/private.pem", Key::Server.pem().as_bytes()),
    ] {
        let file = pki.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }
    let anybody = [ANONYMOUS_USER_TOKEN_ID.to_owned()];
    let endpoint = ServerEndpoint::new(
        "/",
        SecurityPolicy::Basic256Sha256,
        MessageSecurityMode::SignAndEncrypt,
        &anybody,
    );
    let builder = ServerBuilder::new_anonymous("Filler")
        .application_uri(URI)
        .add_endpoint("secured", endpoint)
        .pki_dir(pki)
        .certificate_path("own/cert.der")
        .private_key_path("private/private.pem")
        .trust_client_certs(true);
    Server::serve(builder).await
}

fn device(port: u16) -> String {
    format!(
        "  filler:
    opc_ua: {{ endpoint: 'opc.tcp://127.0.0.1:{port}', timeout: 10s, publishing_interval: 100ms, namespaces: {{ z: '{NAMESPACE}' }} }}
    lost_after: 2s
    tags:
      speed: {{ node: 'z:s=speed', type: f64, every: 100ms }}
"
    )
}

fn make_own(state: &Path) {
    let wish = NewOwn {
        application_uri: "urn:box:millgate:gw-1".into(),
        name: "Millgate gw-1".into(),
        hosts: vec!["box".into()],
        days: 30,
        bits: 2048,
    };
    Own::make(
        &state.join("pki"),
        &wish,
        false,
        u64::try_from(now()).unwrap(),
    )
    .unwrap();
}

/// The next loss of the device whose reason has `word` in it.
async fn refused(cell: &mut Cell, word: &str) -> String {
    let wanted = |content: &Content| match content {
        Content::Lost(error) => {
            assert!(error.detail.contains(word), "`{word}` is not in: {error}");
            true
        }
        Content::Samples(_) => false,
    };
    match cell.until("filler", word, |_, _| {}, wanted).await {
        Content::Lost(error) => error.detail,
        Content::Samples(_) => unreachable!("a loss was waited for"),
    }
}

#[tokio::test]
async fn a_server_is_trusted_by_the_command_while_the_gateway_runs() {
    let directory = tempfile::tempdir().unwrap();
    let home = Arc::new(tempfile::tempdir().unwrap());
    let state = home.path().to_owned();
    let certificate = here().der();
    let server = serve(&directory.path().join("server"), &certificate).await;
    let mut cell = Cell::start_in(Arc::clone(&home), &device(server.port));
    refused(&mut cell, "`millgate opcua keygen`").await;
    cell.stop().await;

    make_own(&state);
    let mut cell = Cell::start_in(Arc::clone(&home), &device(server.port));
    let thumbprint = Thumbprint::of(&certificate).to_string();
    let said = refused(&mut cell, "is not trusted").await;
    assert!(
        said.contains(&format!("`millgate opcua trust {thumbprint}`")),
        "{said}"
    );
    let kept = Trust::open(&state.join("pki"))
        .list(Place::Rejected)
        .unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].thumbprint.to_string(), thumbprint);

    let settings = directory.path().join("gateway.yaml");
    fs::write(
        &settings,
        format!(
            "gateway: {{ id: gw-1, path: [acme] }}\nmachine: CELL\nbuffer: {{ path: {} }}\n",
            state.display()
        ),
    )
    .unwrap();
    let trusted = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["opcua", "trust", &thumbprint, "--config"])
        .arg(&settings)
        .output()
        .unwrap();
    assert!(trusted.status.success(), "{trusted:?}");
    cell.until("filler", "samples of a trusted server", |_, _| {}, good)
        .await;
    cell.stop().await;
}

#[tokio::test]
async fn a_running_gateway_refuses_the_zoo_and_keeps_it() {
    let zoo = [
        (
            "ended on",
            Animal {
                valid: (now() - 9 * DAY, now() - DAY),
                ..here()
            },
        ),
        (
            "set the clocks",
            Animal {
                valid: (now() + DAY, now() + 9 * DAY),
                ..here()
            },
        ),
        (
            "not for 127.0.0.1",
            Animal {
                hosts: vec!["plc-05.example".into()],
                ..here()
            },
        ),
        (
            "calls itself",
            Animal {
                uris: vec!["urn:else".into()],
                ..here()
            },
        ),
        (
            "signed with SHA-1",
            Animal {
                hash: Hash::Sha1,
                ..here()
            },
        ),
        (
            "8192 bits",
            Animal {
                made_up_bits: Some(8192),
                ..here()
            },
        ),
        (
            "1024 bits",
            Animal {
                made_up_bits: Some(1024),
                ..here()
            },
        ),
    ];
    let directory = tempfile::tempdir().unwrap();
    let home = Arc::new(tempfile::tempdir().unwrap());
    let state = home.path().to_owned();
    make_own(&state);
    for (word, animal) in zoo {
        let certificate = animal.der();
        let server = serve(&directory.path().join("server"), &certificate).await;
        let mut cell = Cell::start_in(Arc::clone(&home), &device(server.port));
        refused(&mut cell, word).await;
        let kept = Trust::open(&state.join("pki"))
            .list(Place::Rejected)
            .unwrap();
        let thumbprint = Thumbprint::of(&certificate);
        assert!(
            kept.iter().any(|filed| filed.thumbprint == thumbprint),
            "{word}"
        );
        cell.stop().await;
    }
}
