//! Tells on another stream why each event came and why others did not, as words or as JSON Lines.

use crate::aggregate::explain::{Notes, Reason, Summary};
use crate::format::line;
use crate::model::{Body, Event};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Where explanations go, and how.
pub struct Explainer<'a> {
    /// Standard error, or a test's buffer.
    pub to: &'a mut dyn Write,
    /// As JSON Lines instead of words.
    pub json: bool,
}

impl std::fmt::Debug for Explainer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Explainer")
            .field("json", &self.json)
            .finish_non_exhaustive()
    }
}

impl Explainer<'_> {
    /// What was noted before the event `seq` and became no event.
    pub(super) fn remarks(&mut self, notes: &mut Notes, seq: u64) -> io::Result<()> {
        for remark in notes.take_remarks_before(seq) {
            if self.json {
                let told = serde_json::to_string(&json!({ "remark": remark }))?;
                writeln!(self.to, "{told}")?;
            } else {
                writeln!(self.to, "{remark}")?;
            }
        }
        Ok(())
    }

    /// An event, rendered as `json`, and why it came.
    pub(super) fn event(
        &mut self,
        notes: &mut Notes,
        event: &Event,
        json: &[u8],
    ) -> io::Result<()> {
        self.remarks(notes, event.position.seq)?;
        let why = notes.take_because(event);
        let rendered: Value = serde_json::from_slice(json).unwrap_or_default();
        if self.json {
            let told =
                json!({"event": rendered.get("id"), "type": rendered.get("type"), "because": why});
            return writeln!(self.to, "{told}");
        }
        // Two a minute, of which nobody asks why.
        if matches!(event.body, Body::Heartbeat(_)) {
            return Ok(());
        }
        writeln!(self.to, "{}", line(&rendered))?;
        let words = std::iter::once("because").chain(std::iter::repeat("and"));
        let mut reasons = why.iter().zip(words);
        reasons.try_for_each(|(reason, word)| self.reason(word, reason))
    }

    fn reason(&mut self, word: &str, reason: &Reason) -> io::Result<()> {
        writeln!(self.to, "    {word} {}", reason.says)?;
        let mut parts = reason.parts.iter();
        parts.try_for_each(|part| writeln!(self.to, "        {part}"))
    }

    /// The power went.
    pub(super) fn power_off(&mut self, t_s: f64, lost: usize) -> io::Result<()> {
        if self.json {
            return writeln!(
                self.to,
                "{}",
                json!({"power_off": {"t": t_s, "events_lost": lost}})
            );
        }
        let lost = match lost {
            0 => String::new(),
            1 => ": one event that was not on disk yet is lost".to_owned(),
            n => format!(": {n} events that were not on disk yet are lost"),
        };
        writeln!(self.to, "{t_s:.3} s  the power goes{lost}")
    }

    /// What the whole capture came to.
    pub(super) fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        if self.json {
            return writeln!(self.to, "{}", json!({ "summary": summary }));
        }
        writeln!(self.to, "{summary}")
    }
}
