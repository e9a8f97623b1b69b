//! What is told to people who ask why: parts of conditions with the values they were decided by, in words and as JSON.

use crate::aggregate::condition::Known;
use crate::model::BootTime;
use serde::Serialize;
use std::fmt;

/// The value of a tag, or the state or mode of a machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ValueTold {
    /// `pressure`, `mode`
    pub name: String,
    /// As people write it; `None` when it is bad or was never read.
    pub value: Option<String>,
    /// Since when, in seconds of the boot clock (of the capture); `None` for state and mode and for what was never read.
    pub since_s: Option<f64>,
    /// Why it is bad.
    pub bad: Option<String>,
    /// Usable, but the source has doubts.
    pub uncertain: bool,
}

impl fmt::Display for ValueTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match (&self.value, &self.bad) {
            (Some(value), _) => write!(f, "{name} = {value}")?,
            (None, Some(_)) => write!(f, "{name} is bad")?,
            (None, None) => write!(f, "{name} was never read")?,
        }
        if let Some(since) = self.since_s {
            write!(f, " since {since:.3} s")?;
        }
        if self.uncertain {
            write!(f, ", uncertain")?;
        }
        match &self.bad {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

/// A part of a condition, what it said, and by which values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartTold {
    /// `bit(status, 0)`
    pub condition: String,
    /// `true`, `false` or `unknown`.
    pub is: &'static str,
    /// The values of its variables.
    pub values: Vec<ValueTold>,
}

impl fmt::Display for PartTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.condition, self.is)?;
        if self.values.is_empty() {
            return Ok(());
        }
        let values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
        write!(f, " ({})", values.join(", "))
    }
}

/// One reason, with the parts of the condition that made it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reason {
    /// In words.
    pub says: String,
    /// What decided the condition; empty where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartTold>,
}

impl Reason {
    /// Without a condition.
    pub fn new(says: impl Into<String>) -> Reason {
        Reason {
            says: says.into(),
            parts: Vec::new(),
        }
    }

    /// With the parts of a condition.
    pub fn with(says: impl Into<String>, parts: Vec<PartTold>) -> Reason {
        Reason {
            says: says.into(),
            parts,
        }
    }
}

/// Something that was looked at and became no event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Remark {
    /// When, in seconds of the boot clock (of the capture).
    pub t: f64,
    /// The machine.
    pub machine: String,
    /// The operation of the settings.
    pub operation: String,
    /// What, and why.
    #[serde(flatten)]
    pub reason: Reason,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Remark {
            t,
            machine,
            operation,
            reason,
        } = self;
        write!(f, "{t:.3} s  {machine} {operation}: {}", reason.says)?;
        reason
            .parts
            .iter()
            .try_for_each(|part| write!(f, "\n    {part}"))
    }
}

/// Seconds of the boot clock.
pub(in crate::aggregate) fn seconds(at: BootTime) -> f64 {
    at.seconds_since(BootTime(0))
}

/// The word for what a condition says.
pub(in crate::aggregate) fn word(known: Known) -> &'static str {
    match known {
        Known::True => "true",
        Known::False => "false",
        Known::Unknown => "unknown",
    }
}
