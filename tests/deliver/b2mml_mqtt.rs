//! B2MML over MQTT, to a real mosquitto: each event that has a form arrives once, as a document that MESA's schemas accept where
//! they are here, and the others are filtered.

use super::http_answers::real_events;
use super::mosquitto::{Access, Mosquitto, installed};
use super::oracle::Oracle;
use super::run::{PATIENCE, Run, mqtt, quick, wait_until};
use millgate::buffer::Record;
use millgate::settings::Uplink;
use millgate::settings::shape::{Acknowledge, Format};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use rumqttc::v5::{AsyncClient, Event, MqttOptions};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What arrives at a subscriber to everything, from its start on.
async fn listen(port: u16) -> Arc<Mutex<Vec<Publish>>> {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let mut options = MqttOptions::new("mes", "localhost", port);
    options.set_max_packet_size(Some(1 << 20));
    let (client, mut events) = AsyncClient::new(options, 16);
    let (stands, mut standing) = watch::channel(false);
    tokio::spawn(async move {
        client
            .subscribe("#", QoS::AtLeastOnce)
            .await
            .expect("queued");
        while let Ok(event) = events.poll().await {
            match event {
                Event::Incoming(Packet::SubAck(_)) => drop(stands.send_replace(true)),
                Event::Incoming(Packet::Publish(event)) => {
                    hearing.lock().expect("no panic").push(event);
                }
                _ => {}
            }
        }
    });
    let stood = tokio::time::timeout(PATIENCE, standing.wait_for(|stands| *stands)).await;
    stood.expect("in time").expect("a subscription");
    heard
}

/// MESA's schemas, from where the unit tests take them, too.
fn schema() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/b2mml/xsd");
    let folder = std::env::var("B2MML_XSD").unwrap_or_else(|_| beside.to_owned());
    let schema = Path::new(&folder).join("AllSchemas.xsd");
    if schema.is_file() {
        return Some(schema);
    }
    println!(
        "not here: B2MML over MQTT against MESA's schemas: no AllSchemas.xsd in {folder}; set B2MML_XSD"
    );
    None
}

fn check_documents(documents: &[Publish]) {
    let Some(schema) = schema() else { return };
    if let Err(error) = Command::new("xmllint").arg("--version").output() {
        crate::counterpart::skip::<()>("B2MML over MQTT", &format!("xmllint: {error}"));
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let files = documents.iter().enumerate().map(|(at, document)| {
        let file = folder.path().join(format!("{at}.xml"));
        std::fs::write(&file, &document.payload).expect("written");
        file
    });
    let files: Vec<PathBuf> = files.collect();
    let mut xmllint = Command::new("xmllint");
    xmllint
        .args(["--noout", "--nonet", "--schema"])
        .arg(schema)
        .args(&files);
    let answer = xmllint.output().expect("xmllint");
    let complaints = String::from_utf8_lossy(&answer.stderr);
    assert!(answer.status.success(), "{complaints}");
}

#[tokio::test]
async fn b2mml_arrives_over_mqtt_as_documents_that_the_schemas_accept() {
    let Some(program) = installed() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let broker = Mosquitto::start(program, folder.path(), Access::Anyone);
    let heard = listen(broker.port).await;
    let all = real_events("E06-abort");
    let in_form = |record: &&Record| {
        let name = record.envelope.kind.as_str();
        name.starts_with("operation.") || name == "equipment.state.changed"
    };
    let records: Vec<&Record> = all.iter().filter(in_form).collect();
    assert!(records.len() >= 2 && records.len() < all.len());
    let oracle = Oracle::default();
    records.iter().for_each(|one| oracle.grant(one.envelope.id));
    let uplink = Uplink {
        format: Format::B2mml,
        acknowledge: Acknowledge::Broker,
        ..mqtt(json!({ "url": format!("mqtt://localhost:{}", broker.port) }))
    };
    let mut run = Run::start(&uplink, quick(), &all, all.len(), oracle);
    run.wait_settled(all.last().expect("some")).await;
    let count = || heard.lock().expect("no panic").len();
    wait_until("all that has a form has arrived", || {
        count() >= records.len()
    })
    .await;
    let health = run.stop().await;
    let of = |count: usize| u64::try_from(count).expect("few");
    assert_eq!(health.delivered.get(), of(records.len()));
    assert_eq!(health.filtered.get(), of(all.len() - records.len()));

    let heard = heard.lock().expect("no panic").clone();
    assert_eq!(heard.len(), records.len(), "each once");
    for (record, document) in records.iter().zip(&heard) {
        let topic = String::from_utf8_lossy(&document.topic).into_owned();
        let short = record.envelope.kind.as_str();
        assert!(topic.ends_with(&format!("/{short}")), "{topic}: {short}");
        let properties = document.properties.clone().unwrap_or_default();
        assert_eq!(properties.content_type.as_deref(), Some("application/xml"));
        let text = String::from_utf8_lossy(&document.payload);
        assert!(text.starts_with("<?xml"), "{text}");
        let id = record.envelope.id.to_string();
        assert!(text.contains(&id), "{short} carries its id");
    }
    check_documents(&heard);
}
