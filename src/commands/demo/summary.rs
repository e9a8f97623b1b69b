//! What the press did against what the MES knows: the point of the whole gateway, in a few lines.

use super::ledger::Counts;
use super::press::Tally;
use std::fmt;

/// The end of a demo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What the press did.
    pub press: Tally,
    /// Parts that the deburring cell has finished.
    pub deburred: u64,
    /// What the MES got.
    pub mes: Counts,
    /// Requests that the MES turned away in its outage.
    pub turned_away: u64,
    /// Events that were not shown, because the terminal was too slow.
    pub not_shown: u64,
    /// Events that the broker of `--mqtt` has not confirmed.
    pub broker_lacks: u64,
}

impl Summary {
    /// True when the MES knows exactly what the press did: each stroke once, each verdict right, nothing missing.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.mes.completed == self.press.completed
            && self.mes.aborted == self.press.aborted
            && self.mes.parts == self.press.completed + self.press.aborted
            && self.mes.deburred == self.deburred
            && self.verdicts_agree()
            && self.mes.missing == 0
            && self.mes.missing_ordinals == 0
            && self.mes.refused == 0
    }

    /// A verdict may be left open where data was missing; it must not be wrong.
    fn verdicts_agree(&self) -> bool {
        let unseen = self.press.over_limit.checked_sub(self.mes.failed);
        unseen.is_some_and(|unseen| unseen <= self.mes.undecided)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { press, mes, .. } = self;
        let rows = [
            ("strokes completed", press.completed, mes.completed),
            ("  over the pressure limit", press.over_limit, mes.failed),
            ("strokes broken off", press.aborted, mes.aborted),
            (
                "parts, as scanned",
                press.completed + press.aborted,
                mes.parts,
            ),
        ];
        let rows = rows
            .into_iter()
            .chain([("parts deburred", self.deburred, mes.deburred)]);
        writeln!(f, "{:<28}{:>10}{:>10}", "", "the cell", "the MES")?;
        for (what, did, got) in rows {
            let mark = if did == got { "" } else { "  <- differs" };
            writeln!(f, "{what:<28}{did:>10}{got:>10}{mark}")?;
        }
        writeln!(f)?;
        if mes.undecided > 0 {
            writeln!(
                f,
                "{} left without a verdict: the data was not good enough for one.",
                count(mes.undecided, "stroke was", "strokes were")
            )?;
        }
        write!(f, "The MES took {}", count(mes.accepted, "event", "events"))?;
        match mes.missing + mes.missing_ordinals {
            0 => writeln!(f, ", none is missing.")?,
            missing => writeln!(f, ", {missing} are missing.")?,
        }
        if mes.duplicates > 0 {
            writeln!(
                f,
                "{} sent twice; the MES knew the ids and took none of them twice.",
                count(mes.duplicates, "event was", "events were")
            )?;
        }
        if self.turned_away > 0 {
            writeln!(
                f,
                "While it was down it turned {} away; the gateway kept the events and sent them later.",
                count(self.turned_away, "request", "requests")
            )?;
        }
        if mes.refused > 0 {
            let refused = count(mes.refused, "request", "requests");
            writeln!(f, "It refused {refused} as no event at all.")?;
        }
        if self.not_shown > 0 {
            let not_shown = count(self.not_shown, "line was", "lines were");
            writeln!(f, "{not_shown} not shown: the terminal was too slow.")?;
        }
        if self.broker_lacks > 0 {
            let lacks = count(self.broker_lacks, "event", "events");
            writeln!(
                f,
                "The broker of --mqtt did not confirm {lacks}: is it running, is the address right, has somebody subscribed?"
            )?;
        }
        f.write_str(match self.agrees() {
            true => "The MES knows exactly what press and cell did.",
            false => "The MES does not know exactly what press and cell did.",
        })
    }
}

/// `1 event`, `2 events`
fn count(number: u64, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Summary {
        Summary {
            press: Tally {
                begun: 12,
                completed: 10,
                aborted: 2,
                over_limit: 3,
            },
            deburred: 9,
            mes: Counts {
                accepted: 40,
                started: 12,
                completed: 10,
                aborted: 2,
                passed: 7,
                failed: 3,
                parts: 12,
                deburred: 9,
                ..Counts::default()
            },
            ..Summary::default()
        }
    }

    #[test]
    fn a_mes_that_knows_everything_agrees() {
        let text = good().to_string();
        assert!(good().agrees(), "{text}");
        assert!(text.ends_with("The MES knows exactly what press and cell did."));
        assert!(
            text.contains("strokes completed                   10        10\n"),
            "{text}"
        );
        assert!(!text.contains("differs"), "{text}");
    }

    #[test]
    fn a_resend_or_an_outage_is_told_and_harms_nothing() {
        let mut summary = good();
        summary.mes.duplicates = 1;
        summary.turned_away = 4;
        let text = summary.to_string();
        assert!(summary.agrees());
        assert!(text.contains("1 event was sent twice"), "{text}");
        assert!(text.contains("turned 4 requests away"), "{text}");
    }

    #[test]
    fn what_a_broker_did_not_get_is_told_and_is_no_fault_of_the_books() {
        let mut summary = good();
        summary.broker_lacks = 12;
        let text = summary.to_string();
        assert!(summary.agrees());
        assert!(
            text.contains("The broker of --mqtt did not confirm 12 events: "),
            "{text}"
        );
    }

    #[test]
    fn whatever_differs_is_no_agreement() {
        let spoil: [fn(&mut Summary); 9] = [
            |s| s.deburred += 1,
            |s| s.mes.parts -= 1,
            |s| s.mes.completed -= 1,
            |s| s.mes.aborted += 1,
            |s| s.mes.failed -= 1,
            |s| s.mes.failed += 1,
            |s| s.mes.missing = 1,
            |s| s.mes.missing_ordinals = 1,
            |s| s.mes.refused = 1,
        ];
        for spoil in spoil {
            let mut summary = good();
            spoil(&mut summary);
            assert!(!summary.agrees(), "{summary}");
            assert!(summary.to_string().contains("does not know"));
        }
    }

    #[test]
    fn a_verdict_left_open_is_not_a_wrong_one() {
        let mut summary = good();
        summary.mes.failed -= 1;
        summary.mes.undecided = 1;
        assert!(summary.agrees(), "{summary}");
    }
}
