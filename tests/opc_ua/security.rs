//! Every way to be secured and to log in, and who is not spoken with.

use super::peer::{Server, certificates, python};
use super::press::{Press, good, said, settings_of};
use millgate::model::Value;
use serde_json::json;
use std::path::Path;

const TAG: &str = "count: { node: \"p:s=Counter\", type: i32 }";

fn how(port: u16, more: &str) -> String {
    format!("endpoint: \"opc.tcp://127.0.0.1:{port}\", {more}")
}

async fn reads(state: &Path, how: &str) {
    let mut press = Press::start(&settings_of(state, how, "lost_after: 60s", &[TAG]));
    assert_eq!(
        said(&press.sample("count").await),
        good(Value::Int(0)),
        "{how}"
    );
    press.stop().await;
}

/// The device is lost for this reason.
async fn refused(state: &Path, how: &str, code: &str, part: &str) {
    let mut press = Press::start(&settings_of(state, how, "lost_after: 5s", &[TAG]));
    let error = press.lost().await;
    assert_eq!(error.code, code, "{error:?}");
    assert!(error.detail.contains(part), "{error:?}");
    press.stop().await;
}

#[tokio::test]
async fn every_policy_and_mode_is_spoken() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    certificates(&python, folder.path());
    let server = Server::start(&python, &json!({ "pki": folder.path() }));
    for policy in [
        "Basic256Sha256",
        "Aes128_Sha256_RsaOaep",
        "Aes256_Sha256_RsaPss",
    ] {
        for mode in ["Sign", "SignAndEncrypt"] {
            let security = format!("security: {{ policy: {policy}, mode: {mode} }}");
            reads(folder.path(), &how(server.port, &security)).await;
        }
    }
    reads(folder.path(), &how(server.port, "insecure: true")).await;
}

#[tokio::test]
async fn a_user_is_let_in_by_the_password_that_is_there_now() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    certificates(&python, folder.path());
    let server = Server::start(
        &python,
        &json!({ "pki": folder.path(), "user": ["press", "s3cret"] }),
    );
    let password = folder.path().join("password");
    let user = format!(
        "user: {{ name: press, password: {{ file: {} }} }}",
        password.display()
    );
    let how = how(server.port, &user);
    std::fs::write(&password, "wrong\n").unwrap();
    let mut press = Press::start(&settings_of(folder.path(), &how, "lost_after: 5s", &[TAG]));
    let error = press.lost().await;
    assert_eq!(error.code, "denied", "{error:?}");
    assert!(!error.detail.contains("wrong"), "{error:?}");
    std::fs::write(&password, "s3cret\n").unwrap();
    assert_eq!(said(&press.sample("count").await), good(Value::Int(0)));
    press.stop().await;
}

#[tokio::test]
async fn a_user_is_let_in_by_a_certificate() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    certificates(&python, folder.path());
    let known = folder.path().join("user/cert.der");
    let server = Server::start(
        &python,
        &json!({ "pki": folder.path(), "certificate": known }),
    );
    let of = |who: &str| {
        let (cert, key) = (
            folder.path().join(who).join("cert.der"),
            folder.path().join(who).join("key.pem"),
        );
        let user = format!(
            "{{ cert: {}, key: {{ file: {} }} }}",
            cert.display(),
            key.display()
        );
        how(server.port, &format!("certificate: {user}"))
    };
    reads(folder.path(), &of("user")).await;
    refused(folder.path(), &of("stranger"), "denied", "let this user in").await;
}

#[tokio::test]
async fn a_server_that_nobody_trusts_is_not_spoken_with() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    certificates(&python, folder.path());
    std::fs::remove_file(folder.path().join("pki/trusted/server.der")).unwrap();
    let server = Server::start(&python, &json!({ "pki": folder.path() }));
    let how = how(server.port, "security: { mode: Sign }");
    refused(folder.path(), &how, "untrusted", "millgate opcua trust").await;
    let kept = std::fs::read_dir(folder.path().join("pki/rejected"))
        .unwrap()
        .count();
    assert!(kept > 0, "what was refused is kept to be looked at");
    super::peer::trust(folder.path());
    reads(folder.path(), &how).await;
}

#[tokio::test]
async fn a_way_that_the_server_does_not_offer_names_those_it_does() {
    let Some(python) = python() else { return };
    let state = tempfile::tempdir().unwrap();
    let server = Server::start(&python, &json!({}));
    let how = how(server.port, "security: { policy: Basic256Sha256 }");
    refused(state.path(), &how, "denied", "only None with None").await;
}

#[tokio::test]
async fn without_a_certificate_of_our_own_the_message_says_how_to_get_one() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    certificates(&python, folder.path());
    let server = Server::start(&python, &json!({ "pki": folder.path() }));
    let empty = tempfile::tempdir().unwrap();
    let how = how(server.port, "security: { mode: Sign }");
    refused(empty.path(), &how, "denied", "millgate opcua keygen").await;
}
