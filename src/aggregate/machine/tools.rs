//! The tools in use. Pure.
//!
//! A tag names the tool, another may count its cycles. The first tool ever known is no change, and no tool (0, an empty
//! text) is none: what comes after it is compared with what was there before.

use super::parts::id_of;
use super::{Heading, Machine, Moment, Unsaved};
use crate::aggregate::condition::Scope;
use crate::aggregate::definition::Definition;
use crate::aggregate::saved::{self, Saved};
use crate::model::{Body, Tool, ToolReport, Value};
use crate::settings;

/// The tools of a machine, by the tag that names them.
#[derive(Debug, Default)]
pub(super) struct ToolsInUse {
    holders: Vec<Holder>,
}

/// Where a tool can be: a spindle, a press.
#[derive(Debug)]
struct Holder {
    tag: usize,
    /// Name of the tag, which the checkpoint knows it by.
    name: String,
    cycles: Option<usize>,
    /// The last tool that was there.
    tool: Option<Tool>,
    /// It is there now.
    present: bool,
}

impl ToolsInUse {
    pub(super) fn compile(machine: &settings::Machine, scope: &Scope) -> ToolsInUse {
        let mut holders: Vec<Holder> = Vec::new();
        for tools in machine.operations.values().filter_map(|o| o.tools.as_ref()) {
            let Some((tag, _)) = scope.tag(&tools.tag) else {
                continue;
            };
            let cycles = tools.cycles.as_ref().and_then(|cycles| scope.tag(cycles));
            let cycles = cycles.map(|(local, _)| local);
            match holders.iter_mut().find(|holder| holder.tag == tag) {
                Some(known) => known.cycles = known.cycles.or(cycles),
                None => holders.push(Holder {
                    tag,
                    name: tools.tag.clone(),
                    cycles,
                    tool: None,
                    present: false,
                }),
            }
        }
        ToolsInUse { holders }
    }

    /// The tags that it follows.
    pub(super) fn follows(&self, local: usize) -> bool {
        let mut holders = self.holders.iter();
        holders.any(|holder| holder.tag == local || holder.cycles == Some(local))
    }

    /// The tool that an operation of that definition uses now.
    pub(super) fn in_use(&self, definition: &Definition) -> Option<&Tool> {
        let name = &definition.settings.tools.as_ref()?.tag;
        let holder = self.holders.iter().find(|holder| holder.name == *name)?;
        holder.tool.as_ref().filter(|_| holder.present)
    }
}

impl Holder {
    /// What the tags say now. Gives the tool that was there before, where another one is there.
    fn follow(&mut self, scope: &Scope) -> Option<Option<Tool>> {
        let value = scope.value(self.tag)?;
        let Some(id) = id_of(value) else {
            self.present = false;
            return None;
        };
        self.present = true;
        let cycles = self.cycles.and_then(|local| match scope.value(local) {
            Some(Value::Int(cycles)) => u64::try_from(*cycles).ok(),
            _ => None,
        });
        if let Some(tool) = self.tool.as_mut().filter(|tool| tool.id == id) {
            tool.cycles = cycles.or(tool.cycles);
            return None;
        }
        let before = self.tool.replace(Tool { id, cycles });
        before.map(Some)
    }
}

impl Machine {
    /// Tells tools that were changed in this instant.
    pub(super) fn step_tools(&mut self, moment: &mut Moment<'_>) {
        for index in 0..self.tools.holders.len() {
            self.step_tool(index, moment);
        }
    }

    fn step_tool(&mut self, index: usize, moment: &mut Moment<'_>) -> Option<()> {
        let holder = self.tools.holders.get_mut(index)?;
        let concerned = |local: &usize| *local == holder.tag || Some(*local) == holder.cycles;
        if !self.changed.iter().any(concerned) {
            return None;
        }
        self.unsaved = self.unsaved.max(Unsaved::Later);
        let changed = holder.follow(&self.scope);
        let tool = holder.tool.clone()?;
        let (name, present) = (holder.name.clone(), holder.present);
        let mut active = None;
        for open in self.slots.iter_mut().filter_map(|slot| slot.open.as_mut()) {
            let definition = self.definitions.get(open.definition_index);
            let tools = definition.and_then(|definition| definition.settings.tools.as_ref());
            if tools.is_some_and(|tools| tools.tag == name) {
                active = active.or(open.identity.map(|(id, _)| id));
                if present {
                    open.used.tool(&tool);
                }
            }
        }
        let previous = changed?;
        let heading = Heading {
            correlation: active,
            ..Heading::machine(&self.name, moment.now.utc)
        };
        let report = ToolReport {
            tool,
            previous,
            active_operation: active,
        };
        moment.tell(heading, Body::ToolChanged(report));
        self.unsaved = Unsaved::Soon;
        Some(())
    }

    pub(super) fn save_tools(&self, into: &mut Saved) {
        for holder in &self.tools.holders {
            if let Some(tool) = &holder.tool {
                into.put(format!("{}/tool/{}", self.scope_key(), holder.name), tool);
            }
        }
    }

    pub(super) fn restore_tools(&mut self, entries: &super::Entries) {
        let key = self.scope_key();
        for holder in &mut self.tools.holders {
            let bytes = entries.get(&format!("{key}/tool/{}", holder.name));
            holder.tool = bytes.and_then(|bytes| saved::read(bytes));
        }
    }
}
