//! Settings: one YAML file in, checked settings out, or every problem with its place.
//!
//! The way of a file: `yaml` (text to a tree with places), `verify` (each key against the schema), `shape` (serde),
//! `check` (keys against one another), [`Plant`] (what the stages use).

mod check;
mod effective;
mod places;
mod plant;
mod problem;
mod secret;
pub mod shape;
mod units;
mod yaml;

pub use places::Places;
pub use plant::{
    Conditioning, Device, Machine, ModbusTcp, Plant, Protocol, Register, Table, Tag, TagSource,
    Uplink, UplinkProtocol,
};
pub use problem::{Place, Problem, Problems, nearest};
pub use secret::{SecretError, SecretText};
pub use units::{ByteSize, Period, Rate};

/// A settings file without problems.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the stages use.
    pub plant: Plant,
    /// The file as it was written, with the defaults of left-out keys.
    pub file: shape::File,
    /// Where each path stands, for problems found later (conditions).
    pub places: Places,
}

/// Reads a settings file.
///
/// # Errors
/// Every problem that it has, in the order of the file.
pub fn load(text: &str) -> Result<Loaded, Problems> {
    let (root, problems) = yaml::parse(text);
    let Some(root) = root else {
        return Err(Problems::new(problems, Places::default()));
    };
    let mut report = check::Report { problems };
    let file: Result<shape::File, _> = serde_json::from_value(json(&root));
    let places = Places::new(root);
    let file = match file {
        Ok(file) => file,
        Err(error) => {
            report.problems.push(Problem::new("", error.to_string()));
            return Err(Problems::new(report.problems, places));
        }
    };
    let plant = check::check(
        &effective::settled(&file),
        effective::digest(&file),
        &mut report,
    );
    if report.problems.is_empty() {
        return Ok(Loaded {
            plant,
            file,
            places,
        });
    }
    Err(Problems::new(report.problems, places))
}

fn json(node: &yaml::Node) -> serde_json::Value {
    use serde_json::Value;
    match &node.content {
        yaml::Content::Plain(text) => match yaml::meaning(text) {
            yaml::Plain::Bool(on) => Value::from(on),
            yaml::Plain::Int(number) => u64::try_from(number)
                .map(Value::from)
                .or_else(|_| i64::try_from(number).map(Value::from))
                .unwrap_or(Value::Null),
            yaml::Plain::Float(number) => Value::from(number),
            yaml::Plain::Text => Value::from(text.as_str()),
            _ => Value::Null,
        },
        yaml::Content::Quoted(text) => Value::from(text.as_str()),
        yaml::Content::List(nodes) => nodes.iter().map(json).collect(),
        yaml::Content::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), json(&entry.node)))
            .collect(),
        yaml::Content::Refused => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ValueKind;
    use std::time::Duration;

    const PRESS: &str = include_str!("../../examples/press.yaml");

    #[test]
    fn the_press_becomes_a_plant() {
        let loaded = load(PRESS).unwrap();
        let plant = loaded.plant;
        assert_eq!(plant.machines.len(), 1);
        let machine = &plant.machines[0];
        assert_eq!(
            (machine.name.as_str(), machine.path.as_str()),
            ("PRESS-12", "")
        );
        let tag = |name: &str| &plant.tags[machine.tags[name].index()];
        assert_eq!(tag("status").kind, ValueKind::Int);
        assert_eq!(
            tag("oil").kind,
            ValueKind::Float,
            "a scale makes it a measured number"
        );
        assert_eq!(tag("order_no").kind, ValueKind::Text);
        let TagSource::Modbus(register) = &tag("ram").source;
        assert_eq!(
            (register.table, register.address),
            (Table::InputRegisters, 2)
        );
        assert_eq!(register.byte_order, shape::ByteOrder::CDAB);
        assert_eq!(plant.devices[0].name, "PRESS-12.plc");
        assert_eq!(plant.devices[0].lost_after, Duration::from_secs(3));
        assert_eq!(plant.uplinks[0].name, "mes");
    }

    #[test]
    fn a_comment_does_not_change_the_digest_and_a_setting_does() {
        let digest = |text: &str| load(text).unwrap().plant.digest;
        let plain = digest(PRESS);
        assert_eq!(plain.len(), "sha256:".len() + 16);
        assert_eq!(plain, digest(&format!("# one more line\n{PRESS}")));
        assert_ne!(
            plain,
            digest(&PRESS.replace("debounce: 200ms", "debounce: 300ms"))
        );
    }
}
