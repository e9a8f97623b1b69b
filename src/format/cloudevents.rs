//! An event as CloudEvents 1.0 JSON (structured mode), with the sequence, partitioning and recorded-time extensions.
//!
//! Aggregation's events pass here once, before their commit. The same event and the same time give the same bytes.

use super::body::{Own, longest, own};
use super::cut::{Cut, Lost, Part};
use super::wire::{NotYet, Shown, Time, maybe};
use crate::model::{
    ClockQuality, ClockSource, Envelope, Event, EventKind, Position, Scope, UtcTime,
};
use crate::settings::Plant;
use crate::settings::shape::Gateway;
use serde::Serialize;
use std::fmt::{self, Display};
use uuid::{Uuid, uuid};

/// Largest event in bytes. Past it profiles shrink, then go, then sequences, then lists lose their ends; the event says so.
pub const MAX_EVENT_BYTES: usize = 60 * 1024;

/// Ids of events are UUIDv5 in this namespace, of `<source>/<run>/<sequence>`.
const EVENT_IDS: Uuid = uuid!("8e47832e-6783-463e-b2e8-5e937911caf2");
/// Room for an ordinary event, so that rendering allocates once.
const USUAL_BYTES: usize = 4 * 1024;
/// Longest namespace identifier that a URN may have (RFC 8141).
const MAX_URN_NAMESPACE: usize = 32;

/// Makes events into bytes: what is the same in all of them is prepared once.
#[derive(Clone, Debug)]
pub struct Renderer {
    source: String,
    gateway: String,
    path: Vec<String>,
    settings: String,
    shadow: bool,
}

/// An event ready for the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// What delivery must know without opening it.
    pub envelope: Envelope,
    /// CloudEvents JSON, at most [`MAX_EVENT_BYTES`].
    pub json: Vec<u8>,
}

impl Renderer {
    /// For the events of one gateway.
    #[must_use]
    pub fn new(plant: &Plant) -> Renderer {
        Renderer {
            source: source(plant),
            gateway: plant.gateway.id.clone(),
            path: plant.gateway.path.clone(),
            settings: plant.digest.clone(),
            shadow: plant.shadow,
        }
    }

    /// CloudEvents `source` of all events: `urn:<enterprise>:gw:<gateway id>`.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The event as it travels; `recorded` is when its batch is handed to the disk.
    #[must_use]
    pub fn render(&self, event: &Event, recorded: UtcTime) -> Rendered {
        let id = self.id(event);
        let longest = longest(&event.body);
        let mut cut = Cut::NONE;
        let mut json = self.json(event, id, recorded, cut);
        while json.len() > MAX_EVENT_BYTES {
            let Some(harder) = cut.harder(longest) else {
                break;
            };
            cut = harder;
            json = self.json(event, id, recorded, cut);
        }
        Rendered {
            envelope: self.envelope(event, id),
            json,
        }
    }

    fn id(&self, event: &Event) -> Uuid {
        event_id(&self.source, event.run, event.position)
    }

    fn envelope(&self, event: &Event, id: Uuid) -> Envelope {
        Envelope {
            id,
            run: event.run,
            kind: event.kind().name().to_owned(),
            partition_key: self.partition_key(event).to_owned(),
            equipment: match &event.scope {
                Scope::Gateway => None,
                Scope::Equipment { id, .. } => Some(id.clone()),
            },
            path: self.path.clone(),
            time_ns: event.time.0,
        }
    }

    fn partition_key<'a>(&'a self, event: &'a Event) -> &'a str {
        match &event.scope {
            Scope::Gateway => &self.gateway,
            Scope::Equipment { id, .. } => id,
        }
    }

    fn json(&self, event: &Event, id: Uuid, recorded: UtcTime, cut: Cut) -> Vec<u8> {
        let lost = Lost::default();
        let own = own(event, cut, &lost);
        let cloud_event = CloudEvent {
            specversion: "1.0",
            id,
            source: &self.source,
            kind: Shown(TypeName(event.kind())),
            subject: Shown(Subject(&event.scope)),
            time: Time(event.time),
            recordedtime: Time(recorded),
            datacontenttype: "application/json",
            dataschema: Shown(SchemaName(event.kind())),
            sequence: Shown(event.position),
            partitionkey: self.partition_key(event),
            correlationid: event.correlation,
            causationid: event.causation,
            data: Data {
                gateway: self.gateway_out(event),
                equipment: self.equipment_out(event),
                clock: clock(event.clock),
                truncated: lost.parts(),
                own,
            },
        };
        let mut json = Vec::with_capacity(USUAL_BYTES);
        // Cannot fail: a Vec takes everything, and every map key is a text.
        if let Err(error) = serde_json::to_writer(&mut json, &cloud_event) {
            unreachable!("an event is always JSON: {error}");
        }
        json
    }

    fn gateway_out(&self, event: &Event) -> GatewayOut<'_> {
        GatewayOut {
            id: &self.gateway,
            epoch: event.position.epoch,
            run: event.run,
            settings: &self.settings,
            masterdata: NotYet,
            test: self.shadow,
        }
    }

    fn equipment_out<'a>(&'a self, event: &'a Event) -> Option<EquipmentOut<'a>> {
        match &event.scope {
            Scope::Gateway => None,
            Scope::Equipment { id, slot } => Some(EquipmentOut {
                id,
                slot: slot.as_deref(),
                path: (self.path.iter().map(String::as_str))
                    .chain([id.as_str()])
                    .collect(),
            }),
        }
    }
}

/// CloudEvents `source` of a gateway: `urn:<enterprise>:gw:<gateway id>`.
#[must_use]
pub fn source(plant: &Plant) -> String {
    source_of(&plant.gateway)
}

/// CloudEvents `source` of the gateway with these settings.
#[must_use]
pub fn source_of(gateway: &Gateway) -> String {
    let enterprise = gateway.path.first().map_or("", String::as_str);
    format!("urn:{}:gw:{}", namespace(enterprise), gateway.id)
}

/// The id of an event: the same for every retry and resend, and never that of another event.
#[must_use]
pub fn event_id(source: &str, run: Uuid, position: Position) -> Uuid {
    Uuid::new_v5(&EVENT_IDS, format!("{source}/{run}/{position}").as_bytes())
}

/// A name as the namespace of a URN: lower case, anything but letters and digits a hyphen, at most 32 characters.
fn namespace(enterprise: &str) -> String {
    let plain: String = enterprise
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => c,
            _ => '-',
        })
        .take(MAX_URN_NAMESPACE)
        .collect();
    match plain.trim_matches('-') {
        "" => "enterprise".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

/// `subject`: the equipment and its slot, or `gateway`.
struct Subject<'a>(&'a Scope);

impl Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Scope::Gateway => f.write_str("gateway"),
            Scope::Equipment { id, slot: None } => f.write_str(id),
            Scope::Equipment {
                id,
                slot: Some(slot),
            } => write!(f, "{id}/{slot}"),
        }
    }
}

/// `type`
struct TypeName(EventKind);

impl Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "millgate.{}.v1", self.0.name())
    }
}

/// `dataschema`
struct SchemaName(EventKind);

impl Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "urn:millgate:schema:{}:1.0", self.0.name())
    }
}

#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: Uuid,
    source: &'a str,
    #[serde(rename = "type")]
    kind: Shown<TypeName>,
    subject: Shown<Subject<'a>>,
    time: Time,
    recordedtime: Time,
    datacontenttype: &'static str,
    dataschema: Shown<SchemaName>,
    sequence: Shown<Position>,
    partitionkey: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlationid: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causationid: Option<Uuid>,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    gateway: GatewayOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    equipment: Option<EquipmentOut<'a>>,
    clock: ClockOut,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    truncated: Vec<Part>,
    #[serde(flatten)]
    own: Own<'a>,
}

#[derive(Serialize)]
struct GatewayOut<'a> {
    id: &'a str,
    epoch: u32,
    run: Uuid,
    settings: &'a str,
    masterdata: NotYet,
    test: bool,
}

#[derive(Serialize)]
struct EquipmentOut<'a> {
    id: &'a str,
    slot: Option<&'a str>,
    path: Vec<&'a str>,
}

#[derive(Serialize)]
struct ClockOut {
    source: &'static str,
    synchronised: bool,
    max_error_s: Option<f64>,
}

fn clock(quality: ClockQuality) -> ClockOut {
    ClockOut {
        source: match quality.source {
            ClockSource::Ntp => "ntp",
            ClockSource::None => "none",
        },
        synchronised: quality.synchronised,
        max_error_s: maybe(quality.max_error_s),
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{after, connection, event, operation, plant, renderer};
    use super::*;
    use crate::model::Body;

    #[test]
    fn an_event_reads_as_the_catalogue_has_it() {
        let mut started = event(Body::OperationStarted(operation(None)));
        started.correlation = Some(Uuid::from_u128(0xb7f7_d1a2_0b3e_5c11_8f52_0000_0000_a001));
        let rendered = renderer().render(&started, after(0.092));
        let expected = r#"{"specversion":"1.0","id":"ID","source":"urn:acme:gw:plant1-press-gw07","#
            .to_owned()
            + r#""type":"millgate.operation.started.v1","subject":"PRESS-04/1","#
            + r#""time":"2026-11-22T09:14:02.31Z","recordedtime":"2026-11-22T09:14:02.402Z","#
            + r#""datacontenttype":"application/json","#
            + r#""dataschema":"urn:millgate:schema:operation.started:1.0","#
            + r#""sequence":"0000000003.00000000000000184219","partitionkey":"PRESS-04","#
            + r#""correlationid":"b7f7d1a2-0b3e-5c11-8f52-00000000a001","data":{"#
            + r#""gateway":{"id":"plant1-press-gw07","epoch":3,"#
            + r#""run":"5f2c1e0a-6b1d-4c55-9d0e-0a7b3f1c2d44","settings":"sha256:5d2c5d2c5d2c5d2c","#
            + r#""masterdata":null,"test":false},"#
            + r#""equipment":{"id":"PRESS-04","slot":"1","path":["ACME","PLANT1","PRESSHOP","PRESS-04"]},"#
            + r#""clock":{"source":"ntp","synchronised":true,"max_error_s":0.00041},"#
            + r#""operation":{"id":"b7f7d1a2-0b3e-5c11-8f52-00000000a001","ordinal":17,"name":"form","#
            + r#""segment":"0020","definition":null,"definition_version":null,"#
            + r#""order":{"id":"WO-100482","source":"plc"},"product":null,"lot":null,"program":null,"#
            + r#""purpose":"production","mode_at_start":"PRODUCTION","shift":null,"operator":null,"parts":[],"#
            + r#""started_at":"2026-11-22T09:14:02.31Z","time_basis":"gateway","revision":0,"flags":[]}}}"#;
        let id = rendered.envelope.id.to_string();
        assert_eq!(
            String::from_utf8(rendered.json).unwrap(),
            expected.replace("ID", &id)
        );
    }

    #[test]
    fn the_envelope_says_what_delivery_must_know() {
        let started = event(Body::OperationStarted(operation(None)));
        let envelope = renderer().render(&started, after(1.0)).envelope;
        assert_eq!(envelope.kind, "operation.started");
        assert_eq!(envelope.partition_key, "PRESS-04");
        assert_eq!(envelope.equipment.as_deref(), Some("PRESS-04"));
        assert_eq!(envelope.path, ["ACME", "PLANT1", "PRESSHOP"]);
        assert_eq!(envelope.time_ns, started.time.0);
        assert_eq!(envelope.run, started.run);

        let own = renderer().render(&event(Body::Connection(connection())), after(1.0));
        assert_eq!(own.envelope.partition_key, "plant1-press-gw07");
        assert_eq!(own.envelope.equipment, None);
    }

    #[test]
    fn an_id_belongs_to_source_run_and_sequence() {
        let first = event(Body::OperationStarted(operation(None)));
        let id =
            |renderer: &Renderer, event: &Event| renderer.render(event, after(1.0)).envelope.id;
        let known = id(&renderer(), &first);
        assert_eq!(known.get_version_num(), 5);

        let mut next = first.clone();
        next.position.seq += 1;
        let mut restarted = first.clone();
        restarted.run = Uuid::from_u128(1);
        let mut twin = plant();
        twin.gateway.id = "plant1-press-gw08".into();
        for other in [
            id(&renderer(), &next),
            id(&renderer(), &restarted),
            id(&Renderer::new(&twin), &first),
        ] {
            assert_ne!(other, known);
        }
    }

    #[test]
    fn the_enterprise_becomes_a_urn_namespace() {
        let cases = [
            ("ACME", "acme"),
            ("Acme Forming & Co.", "acme-forming---co"),
            ("Mühle", "m-hle"),
            ("***", "enterprise"),
            ("", "enterprise"),
            (
                "abcdefghijklmnopqrstuvwxyzabcdefghij",
                "abcdefghijklmnopqrstuvwxyzabcdef",
            ),
        ];
        for (enterprise, expected) in cases {
            assert_eq!(namespace(enterprise), expected);
        }
    }

    #[test]
    fn a_shadow_run_marks_every_event_as_a_test() {
        let mut shadow = plant();
        shadow.shadow = true;
        let started = event(Body::OperationStarted(operation(None)));
        let json = Renderer::new(&shadow).render(&started, after(1.0)).json;
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["data"]["gateway"]["test"], true);
    }
}
