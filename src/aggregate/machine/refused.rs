//! Samples that came twice or too late: counted by the operations that they would have belonged to, and nothing else.

use super::Machine;
use crate::model::BootTime;

impl Machine {
    /// A sample of a tag, stamped `at`, was refused: it was late, or a repeat.
    pub(in crate::aggregate) fn refused(&mut self, local: usize, at: BootTime, late: bool) {
        let Some(tag) = self.tags.get(local) else {
            return;
        };
        let routes = tag.routes.clone();
        for (definition, parameter) in &routes {
            let Some(found) = self.definitions.get(*definition) else {
                continue;
            };
            let measured = found.parameters.get(*parameter).filter(|_| late);
            if let Some(measured) = measured.filter(|measured| !measured.hidden) {
                let (operation, name) = (found.name.clone(), measured.name.clone());
                self.count_late(&operation, &name, at);
            }
            let slot = self.definitions.get(*definition);
            let slot = slot.and_then(|definition| self.slots.get_mut(definition.slot));
            let Some(slot) = slot else { continue };
            for operation in slot.operations_mut() {
                if operation.definition_index != *definition {
                    continue;
                }
                for (begun, accumulator) in operation.measures(*parameter) {
                    accumulator.refuse(at.0.saturating_sub(begun.0), late);
                }
            }
        }
    }
}
