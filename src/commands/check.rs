//! `millgate check`: every problem of a settings file with its place, then what is worth a look.
//!
//! [`load_settings`] is also how the other commands read their settings: the same problems, told the same way.

use super::{Exit, Failure, terminal};
use crate::settings::{self, Loaded, Problem, Problems, Source, Unreadable, Weight};
use crate::{aggregate, deliver};
use anyhow::Context;
use serde_json::json;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Check a settings file: every problem with line, column and what to write instead.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// The settings file; `--config FILE`, as other commands have it, means the same.
    #[arg(value_name = "FILE", required_unless_present = "config")]
    file: Option<PathBuf>,
    #[arg(long, value_name = "FILE", conflicts_with = "file", hide = true)]
    config: Option<PathBuf>,
    /// Print the settings with every default written out.
    #[arg(long)]
    effective: bool,
    /// Print the result as JSON.
    #[arg(long, conflicts_with = "effective")]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        // One of the two is there.
        let file = self.file.or(self.config).unwrap_or_default();
        let text = read(&file);
        if self.json {
            return report_json(&file, text);
        }
        let text = text.map_err(|error| refused(&file, "", error))?;
        let loaded = checked(&file, &text).map_err(|problems| told(&file, &text, &problems))?;
        warn(&file, &text, &loaded)?;
        if self.effective {
            return terminal::print(&settings::effective(&loaded.file));
        }
        terminal::print(&format!(
            "{}: good: {}\n",
            file.display(),
            contents(&loaded)
        ))
    }
}

fn report_json(file: &Path, text: Result<String, Unreadable>) -> Result<(), Failure> {
    let result = match text {
        Ok(text) => checked(file, &text),
        Err(Unreadable::NotText(problems)) => Err(problems),
        Err(error @ Unreadable::Io { .. }) => return Err(refused(file, "", error)),
    };
    let (good, problems, left_out, warnings, digest) = match &result {
        Ok(loaded) => {
            let warnings = listed(&warnings(loaded), &loaded.places);
            (true, Vec::new(), 0, warnings, Some(&loaded.plant.digest))
        }
        Err(found) => (
            false,
            listed(&found.list, &found.places),
            found.left_out,
            Vec::new(),
            None,
        ),
    };
    let report = json!({
        "file": file.display().to_string(),
        "good": good,
        "digest": digest,
        "problems": problems,
        "left_out": left_out,
        "warnings": warnings,
    });
    terminal::print(&format!("{report:#}\n"))?;
    if good {
        Ok(())
    } else {
        Err(Failure::told(Exit::Config))
    }
}

/// Reads the settings for a command that works with them. Problems are told on standard error; warnings are not.
///
/// # Errors
/// When the file cannot be read or has problems; they have been told.
pub fn load_settings(file: &Path) -> Result<Loaded, Failure> {
    let text = read(file).map_err(|error| refused(file, "", error))?;
    checked(file, &text).map_err(|problems| told(file, &text, &problems))
}

fn read(file: &Path) -> Result<String, Unreadable> {
    settings::read_text(file)
}

/// The settings, when neither they nor the stages that read texts of theirs find a problem.
fn checked(file: &Path, text: &str) -> Result<Loaded, Problems> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut loaded = settings::load_with(text, |plant| {
        let mut problems = aggregate::check(plant);
        problems.extend(deliver::check(plant, folder));
        problems
    })?;
    loaded.plant.find_files_in(folder);
    Ok(loaded)
}

fn refused(file: &Path, text: &str, error: Unreadable) -> Failure {
    match error {
        Unreadable::NotText(problems) => told(file, text, &problems),
        Unreadable::Io { source, .. } => {
            let exit = match source.kind() {
                ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory => {
                    Exit::NoInput
                }
                _ => Exit::Io,
            };
            let context = format!("the settings {} cannot be read", file.display());
            let told: Result<(), _> = Err(source).context(context);
            Failure {
                exit,
                error: told.err(),
            }
        }
    }
}

fn told(file: &Path, text: &str, problems: &Problems) -> Failure {
    let name = file.display().to_string();
    let source = Source {
        name: &name,
        text,
        colour: terminal::colours_on_error(),
    };
    let count = problems.list.len() + problems.left_out;
    let sum = if count == 1 {
        "1 problem".into()
    } else {
        format!("{count} problems")
    };
    let text = format!("{}{name}: {sum}\n", source.explain_all(problems));
    match terminal::print_error(&text) {
        Ok(()) => Failure::told(Exit::Config),
        Err(failure) => failure,
    }
}

fn warn(file: &Path, text: &str, loaded: &Loaded) -> Result<(), Failure> {
    let name = file.display().to_string();
    let source = Source {
        name: &name,
        text,
        colour: terminal::colours_on_error(),
    };
    let warnings: String = warnings(loaded)
        .iter()
        .map(|problem| source.explain(problem, &loaded.places, Weight::Warning) + "\n")
        .collect();
    terminal::print_error(&warnings)
}

/// What is worth a look, also in the conditions and in the templates of requests.
fn warnings(loaded: &Loaded) -> Vec<Problem> {
    let mut of_stages = aggregate::warnings(&loaded.plant);
    of_stages.extend(deliver::warnings(&loaded.plant));
    loaded.warnings_with(of_stages)
}

fn listed(problems: &[Problem], places: &settings::Places) -> Vec<serde_json::Value> {
    let one = |problem: &Problem| {
        let place = places.of(problem);
        json!({
            "line": place.line,
            "column": place.column,
            "path": problem.path,
            "message": problem.message,
            "suggestion": problem.suggestion,
        })
    };
    problems.iter().map(one).collect()
}

/// What the settings describe, counted.
fn contents(loaded: &Loaded) -> String {
    let plant = &loaded.plant;
    let operations = plant
        .machines
        .iter()
        .map(|machine| machine.operations.len())
        .sum();
    let counted: Vec<String> = [
        (plant.machines.len(), "machine"),
        (plant.devices.len(), "device"),
        (plant.tags.len(), "tag"),
        (operations, "operation"),
        (plant.uplinks.len(), "uplink"),
    ]
    .iter()
    .map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" }))
    .collect();
    format!("{}, {}", counted.join(", "), plant.digest)
}
