//! Settings: one YAML file in, checked settings out, or every problem with its place.
//!
//! The way of a file: `yaml` (text to a tree with places), `expand` (templates to machines), `verify` (each key against the schema), `shape` (serde),
//! `check` (keys against one another), [`Plant`] (what the stages use).

mod check;
mod effective;
mod expand;
mod explain;
mod files;
mod instances;
mod places;
mod plant;
mod problem;
mod report;
mod schema;
mod secret;
pub mod shape;
mod source;
mod statistic;
mod status;
mod telling;
mod units;
mod verify;
pub mod week;
mod yaml;

pub use check::{MAX_SOCKET_PATH, broker};
pub use effective::effective;
pub use explain::{Source, Weight};
pub use places::Places;
pub use plant::{
    Conditioning, Deadband, Device, FrameEnd, Framing, LineField, Lines, LinesPoll, LinesWire,
    Machine, Modbus, ModbusWire, Namespace, Node, OpcUa, OpcUaUser, Plant, Protocol, Register,
    Reported, SerialPort, Table, Tag, TagSource, Uplink, UplinkProtocol, Variable,
};
pub use problem::{Place, Problem, Problems, nearest};
pub use schema::schema;
pub use secret::{SecretError, SecretText};
pub use source::{Unreadable, read_text, text};
pub use statistic::Statistic;
pub use status::{Scalar, Statuses};
pub use telling::{names_a_secret, secret_values_in_query, secrets_in_query};
pub use units::{ByteSize, Period, Rate};

use instances::Instances;
use report::Report;

/// A settings file without problems.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the stages use.
    pub plant: Plant,
    /// The file as it was written, with its templates written out and the defaults of left-out keys.
    pub file: shape::File,
    /// Where each path stands, for problems found later (conditions).
    pub places: Places,
    /// What was worth a look before the templates were gone.
    remarks: Vec<Problem>,
    instances: Instances,
}

/// Reads a settings file.
///
/// # Errors
/// Every problem that it has, in the order of the file.
pub fn load(text: &str) -> Result<Loaded, Problems> {
    load_with(text, |_| Vec::new())
}

/// Reads a settings file; `later` looks at what only a later stage can read (`aggregate::check`: conditions).
///
/// `later` is also asked about a plant that has problems already, so that all are told at once: it must take a plant
/// in which things are missing, and what follows from their being missing is left out.
///
/// # Errors
/// Every problem that it has, in the order of the file.
pub fn load_with(
    text: &str,
    later: impl FnOnce(&Plant) -> Vec<Problem>,
) -> Result<Loaded, Problems> {
    let mut report = Report::default();
    let read = read(text, &mut report);
    if let Some((plant, _)) = &read {
        report.begin_later();
        for problem in later(plant) {
            report.push_later(problem);
        }
    }
    let (remarks, instances) = report.take_remarks();
    let loaded = report.finish(|places| {
        read.map(|(plant, file)| Loaded {
            plant,
            file,
            places,
            remarks,
            instances,
        })
    })?;
    loaded.ok_or_else(|| {
        let unread = Problem::new("", "the settings cannot be read");
        Problems::new(vec![unread], Places::default())
    })
}

impl Loaded {
    /// What is worth a look although it is allowed. Looks at the files of this machine, too.
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        self.warnings_with(Vec::new())
    }

    /// [`Loaded::warnings`], and in their order what a stage says of the plant.
    #[must_use]
    pub fn warnings_with(&self, of_stages: Vec<Problem>) -> Vec<Problem> {
        let mut found = check::warnings(&self.file);
        found.extend(check::bus_warnings(&self.plant));
        found.extend(of_stages);
        let mut found = self.instances.folded(found);
        found.extend(self.remarks.iter().cloned());
        found.sort_by_cached_key(|problem| self.places.of(problem));
        found
    }
}

/// All stages of the reading; what comes out is only to be used when the report is empty.
fn read(text: &str, report: &mut Report) -> Option<(Plant, shape::File)> {
    let mut root = yaml::parse(text, report)?;
    let templates = expand::expand(&mut root, report);
    let verified = verify::verify(&root, schema::of_file(), report);
    if let yaml::Content::Map(entries) = &mut root.content {
        entries.extend(templates);
    }
    report.set_places(Places::new(root));
    let file = decode(verified?, report)?;
    if !report.is_short() {
        // More problems would not be shown, and to look for them in so much that is wrong would take long.
        return None;
    }
    report.begin_checks();
    let settled = effective::settled(&file);
    let plant = check::check(&settled, effective::digest(&settled), report);
    Some((plant, file))
}

/// Lets serde read what has been verified.
fn decode(value: serde_json::Value, report: &mut Report) -> Option<shape::File> {
    serde_json::from_value(value)
        .map_err(|error| report.add("", format!("the settings cannot be read: {error}")))
        .ok()
}

#[cfg(test)]
mod tests;
