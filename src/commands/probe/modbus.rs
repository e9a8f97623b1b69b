//! `millgate probe modbus-...`: registers once, or again and again as a live table.

use super::report;
use super::screen::Screen;
use super::table::{self, Block, Style};
use crate::acquire::modbus::answer::Answer;
use crate::clock::Clock;
use crate::commands::modbus::{Bus, Said, refusal};
use crate::commands::range::{self, Range};
use crate::commands::{Exit, Failure, terminal};
use crate::model::{LinkError, Stamp};
use crate::settings::Table;
use std::time::Duration;

/// Most places of all ranges together: more is no table for people.
pub(super) const MOST_PLACES: u32 = 2_000;

/// What is read, and how it is shown.
pub(super) struct Sight {
    /// The address as it was typed.
    pub(super) url: String,
    pub(super) bus: Bus,
    pub(super) unit: u8,
    pub(super) ranges: Vec<(Table, Range)>,
    pub(super) style: Style,
    pub(super) json: bool,
}

/// One reading of all ranges.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) at: Stamp,
    pub(super) blocks: Vec<Block>,
}

/// Reads once and tells it.
///
/// # Errors
/// 69 when any of it could not be read.
pub(super) async fn once(mut sight: Sight) -> Result<(), Failure> {
    let look = sight.look().await.map_err(unavailable)?;
    if sight.json {
        terminal::print(&format!(
            "{:#}\n",
            report::look(&sight.url, sight.unit, &look)
        ))?;
    } else {
        terminal::print(&sight.text(&look, &Changes::default()))?;
    }
    if look.refused() {
        return Err(Failure::told(Exit::Unavailable));
    }
    Ok(())
}

/// Reads again and again until `end`; a wire that breaks is opened anew.
///
/// # Errors
/// 69 when nothing could be read in all that time.
pub(super) async fn watch(
    mut sight: Sight,
    every: Duration,
    end: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let mut end = std::pin::pin!(end);
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut screen = Screen::new(!sight.json);
    let mut changes = Changes::default();
    let mut ever = false;
    loop {
        let look = async {
            tick.tick().await;
            sight.look().await
        };
        let look = tokio::select! {
            look = look => look.unwrap_or_else(|error| Look {
                at: Clock::system().now(),
                blocks: vec![Block::Refused(error.to_string())],
            }),
            () = &mut end => break,
        };
        ever |= !look.refused();
        changes.see(&look);
        if sight.json {
            terminal::print(&format!(
                "{}\n",
                report::look(&sight.url, sight.unit, &look)
            ))?;
        } else {
            screen.show(&sight.text(&look, &changes))?;
        }
    }
    screen.leave()?;
    if ever {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Unavailable,
        anyhow::anyhow!("{} could not be read", sight.url),
    ))
}

fn unavailable(error: LinkError) -> Failure {
    Failure::new(Exit::Unavailable, error)
}

impl Sight {
    async fn look(&mut self) -> Result<Look, LinkError> {
        let mut blocks = Vec::new();
        for (table, range) in self.ranges.clone() {
            self.read(table, range, &mut blocks).await?;
        }
        Ok(Look {
            at: Clock::system().now(),
            blocks,
        })
    }

    /// Reads a range with as many requests as it takes; what was refused is a block of its own.
    async fn read(
        &mut self,
        table: Table,
        range: Range,
        blocks: &mut Vec<Block>,
    ) -> Result<(), LinkError> {
        let mut start = u32::from(range.first);
        let end = u32::from(range.last) + 1;
        let mut joins = false;
        while start < end {
            let first = u16::try_from(start).unwrap_or(u16::MAX);
            let left = u16::try_from(end - start).unwrap_or(u16::MAX);
            let count = left.min(range::most_at_once(table));
            start += u32::from(count);
            let refused = match self.bus.read(self.unit, table, first, count).await? {
                Said::Answer(answer) => {
                    add(blocks, table, first, answer, joins);
                    joins = true;
                    continue;
                }
                Said::Exception(code) => refusal(code, table),
                Said::Silent(error) => error.to_string(),
            };
            joins = false;
            let last = u32::from(first) + u32::from(count) - 1;
            blocks.push(Block::Refused(format!(
                "{} {first}..{last}: {refused}",
                range::words(table)
            )));
        }
        Ok(())
    }

    fn text(&self, look: &Look, changes: &Changes) -> String {
        let at = jiff::Timestamp::from_nanosecond(i128::from(look.at.utc.0)).unwrap_or_default();
        let mut lines = vec![format!(
            "{} unit {} at {} UTC; addresses are zero-based",
            self.url.split('?').next().unwrap_or_default(),
            self.unit,
            at.strftime("%H:%M:%S")
        )];
        let mut place = 0;
        for block in &look.blocks {
            lines.push(String::new());
            let (counts, fresh) = changes.of(place, block.places());
            lines.extend(table::lines(block, counts, fresh, self.style));
            place += block.places();
        }
        if let Some(legend) = table::legend(&look.blocks) {
            lines.extend([String::new(), legend.to_owned()]);
        }
        lines.join("\n") + "\n"
    }
}

impl Look {
    fn refused(&self) -> bool {
        self.blocks
            .iter()
            .any(|block| matches!(block, Block::Refused(_)))
    }

    /// Each place as a number; a place that could not be read is none.
    fn places(&self) -> Vec<Option<u16>> {
        let places = |block: &Block| match block {
            Block::Words(_, _, words) => words.iter().copied().map(Some).collect(),
            Block::Bits(_, _, bits) => bits.iter().map(|on| Some(u16::from(*on))).collect(),
            Block::Refused(_) => Vec::new(),
        };
        self.blocks.iter().flat_map(places).collect()
    }
}

impl Block {
    fn places(&self) -> usize {
        match self {
            Block::Words(_, _, words) => words.len(),
            Block::Bits(_, _, bits) => bits.len(),
            Block::Refused(_) => 0,
        }
    }
}

/// Which places changed how often since the first look.
#[derive(Debug, Default)]
struct Changes {
    last: Vec<Option<u16>>,
    counts: Vec<u64>,
    fresh: Vec<bool>,
}

impl Changes {
    fn see(&mut self, look: &Look) {
        let now = look.places();
        if now.len() != self.last.len() {
            // Other ranges answered than before: nothing can be compared.
            self.counts = vec![0; now.len()];
            self.fresh = vec![false; now.len()];
        } else {
            self.fresh = self
                .last
                .iter()
                .zip(&now)
                .map(|(last, now)| last != now)
                .collect();
            for (count, fresh) in self.counts.iter_mut().zip(&self.fresh) {
                *count += u64::from(*fresh);
            }
        }
        self.last = now;
    }

    fn of(&self, place: usize, count: usize) -> (&[u64], &[bool]) {
        let range = place..place + count;
        (
            self.counts.get(range.clone()).unwrap_or_default(),
            self.fresh.get(range).unwrap_or_default(),
        )
    }
}

/// Adds an answer, to the block before it where that goes on.
fn add(blocks: &mut Vec<Block>, table: Table, first: u16, answer: Answer, joins: bool) {
    match (blocks.last_mut().filter(|_| joins), answer) {
        (Some(Block::Words(_, _, words)), Answer::Words(more)) => words.extend(more),
        (Some(Block::Bits(_, _, bits)), Answer::Bits(more)) => bits.extend(more),
        (_, Answer::Words(words)) => blocks.push(Block::Words(table, first, words)),
        (_, Answer::Bits(bits)) => blocks.push(Block::Bits(table, first, bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(words: &[u16]) -> Look {
        Look {
            at: Stamp::default(),
            blocks: vec![Block::Words(Table::HoldingRegisters, 0, words.to_vec())],
        }
    }

    #[test]
    fn changes_are_counted_for_each_place() {
        let mut changes = Changes::default();
        changes.see(&look(&[1, 2]));
        assert_eq!(changes.of(0, 2), (&[0, 0][..], &[false, false][..]));
        changes.see(&look(&[1, 3]));
        changes.see(&look(&[1, 4]));
        assert_eq!(changes.of(0, 2), (&[0, 2][..], &[false, true][..]));
        changes.see(&look(&[1, 4]));
        assert_eq!(changes.of(1, 1), (&[2][..], &[false][..]));
        // Another number of places begins anew.
        changes.see(&look(&[1]));
        assert_eq!(changes.of(0, 1), (&[0][..], &[false][..]));
    }

    #[test]
    fn answers_that_follow_one_another_are_one_block() {
        let mut blocks = Vec::new();
        let table = Table::HoldingRegisters;
        add(&mut blocks, table, 0, Answer::Words(vec![1]), false);
        add(&mut blocks, table, 1, Answer::Words(vec![2]), true);
        add(&mut blocks, table, 9, Answer::Words(vec![3]), false);
        let expected = [
            Block::Words(table, 0, vec![1, 2]),
            Block::Words(table, 9, vec![3]),
        ];
        assert_eq!(blocks, expected);
    }
}
