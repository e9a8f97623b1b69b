//! Which requests read a device's tags: neighbours and small gaps in one, a value never torn across two.
//!
//! Pure; made once at the start, for each device. Tags are grouped by period first and each group is read on its own
//! grid: a slow group that falls due together with a fast one is read with it in one cycle, but with its own requests, so
//! that a request always has the same answer and a tag's samples always the same distance.

use crate::model::TagId;
use crate::settings::{Register, Table, Tag, TagSource};
use std::time::Duration;

/// Most registers in one request (Application Protocol 1.1b3, 6.3).
pub const MAX_REGISTERS: u16 = 125;
/// Most bits in one request (6.1).
pub const MAX_BITS: u16 = 2_000;
/// A gap is worth so many bits where it is worth one register: the same bytes on the wire.
const BITS_PER_REGISTER: u32 = 16;

/// What the device takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most registers in one request, 1 to 125. Only a single value that is wider gets a longer one, of its own width.
    pub max_registers: u16,
    /// Most registers in a row that nobody asked for and that are read along.
    pub max_gap: u16,
}

/// Tags of one period.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The period.
    pub every: Duration,
    /// In order of table and address.
    pub requests: Vec<Request>,
}

/// One read request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Where it reads.
    pub table: Table,
    /// First address, zero-based.
    pub start: u16,
    /// Registers or bits.
    pub count: u16,
    /// What is in the answer.
    pub fields: Vec<Field>,
}

impl Request {
    /// The same values in several requests, for a device that refuses them in one: cut at each gap, or in halves where there
    /// is none. `None` where all values lie in the same place.
    #[must_use]
    pub fn split(&self) -> Option<Vec<Request>> {
        let mut parts: Vec<Vec<Field>> = Vec::new();
        let mut end = 0;
        for field in &self.fields {
            match parts.last_mut() {
                Some(part) if u32::from(field.offset) <= end => part.push(field.clone()),
                _ => parts.push(vec![field.clone()]),
            }
            end = end.max(field.end());
        }
        if parts.len() == 1 {
            let places: Vec<&[Field]> = self.fields.chunk_by(Field::same_place).collect();
            let (first, second) = places.split_at(places.len() / 2);
            parts = vec![first.concat(), second.concat()];
        }
        let whole = parts.iter().all(|part| !part.is_empty());
        whole.then(|| parts.into_iter().map(|part| self.part(part)).collect())
    }

    /// Only these of its fields.
    fn part(&self, mut fields: Vec<Field>) -> Request {
        let first = fields.iter().map(|field| field.offset).min().unwrap_or(0);
        for field in &mut fields {
            field.offset -= first;
        }
        let end = fields.iter().map(Field::end).max().unwrap_or(1);
        Request {
            table: self.table,
            start: self.start.saturating_add(first),
            count: u16::try_from(end).unwrap_or(u16::MAX),
            fields,
        }
    }

    /// A request for its first value alone: the shortest that shows whether somebody is there.
    #[must_use]
    pub fn shortest(&self) -> Request {
        self.part(self.fields.first().cloned().into_iter().collect())
    }
}

/// A tag's place in an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The tag.
    pub tag: TagId,
    /// Its first register or bit in the answer.
    pub offset: u16,
    /// How the value lies there.
    pub register: Register,
}

impl Field {
    /// The place behind its last one.
    fn end(&self) -> u32 {
        u32::from(self.offset) + u32::from(self.register.width().max(1))
    }

    fn same_place(&self, other: &Field) -> bool {
        self.offset == other.offset && self.end() == other.end()
    }
}

/// True for coils and discrete inputs.
pub(super) fn has_bits(table: Table) -> bool {
    matches!(table, Table::Coils | Table::DiscreteInputs)
}

impl Limits {
    /// Most places in one request, and most in a gap.
    fn of(self, table: Table) -> (u32, u32) {
        if has_bits(table) {
            (
                u32::from(MAX_BITS),
                u32::from(self.max_gap) * BITS_PER_REGISTER,
            )
        } else {
            let most = self.max_registers.clamp(1, MAX_REGISTERS);
            (u32::from(most), u32::from(self.max_gap))
        }
    }
}

/// The groups of a device, the fastest first. The order of the tags does not matter.
#[must_use]
pub fn plan<'a>(tags: impl IntoIterator<Item = &'a Tag>, limits: Limits) -> Vec<Group> {
    let mut wanted: Vec<Wanted<'a>> = tags.into_iter().filter_map(Wanted::new).collect();
    wanted.sort_by_key(Wanted::place);
    wanted
        .chunk_by(|one, next| one.tag.every == next.tag.every)
        .filter_map(|group| {
            let every = group.first()?.tag.every;
            let requests = group
                .chunk_by(|one, next| one.register.table == next.register.table)
                .flat_map(|table| requests(table, limits))
                .collect();
            Some(Group { every, requests })
        })
        .collect()
}

/// A tag and its registers.
struct Wanted<'a> {
    tag: &'a Tag,
    register: &'a Register,
}

impl<'a> Wanted<'a> {
    /// `None` for a tag of another protocol, which a Modbus device has none of.
    fn new(tag: &'a Tag) -> Option<Wanted<'a>> {
        match &tag.source {
            TagSource::Modbus(register) => Some(Wanted { tag, register }),
            TagSource::OpcUa(_) | TagSource::Line(_) => None,
        }
    }

    fn place(&self) -> (Duration, Table, u32, u32, TagId) {
        (
            self.tag.every,
            self.register.table,
            self.start(),
            self.end(),
            self.tag.id,
        )
    }

    fn start(&self) -> u32 {
        u32::from(self.register.address)
    }

    fn end(&self) -> u32 {
        self.start() + u32::from(self.register.width().max(1))
    }
}

/// Sorted tags of one table and period, cut wherever the next one is too far away or no longer fits.
///
/// Going from the left and cutting as late as possible makes the fewest requests that the limits allow.
fn requests(sorted: &[Wanted<'_>], limits: Limits) -> Vec<Request> {
    let mut made = Vec::new();
    let mut rest = sorted;
    while let Some(first) = rest.first() {
        let (most, gap) = limits.of(first.register.table);
        let room_ends = first.start() + most.max(first.end() - first.start());
        let mut end = first.end();
        let taken = rest
            .iter()
            .take_while(|next| {
                let fits = next.start() <= end + gap && next.end() <= room_ends;
                end = if fits { end.max(next.end()) } else { end };
                fits
            })
            .count();
        let (here, later) = rest.split_at(taken.max(1));
        made.push(request(first, end, here));
        rest = later;
    }
    made
}

fn request(first: &Wanted<'_>, end: u32, tags: &[Wanted<'_>]) -> Request {
    let field = |wanted: &Wanted<'_>| Field {
        tag: wanted.tag.id,
        offset: wanted
            .register
            .address
            .saturating_sub(first.register.address),
        register: wanted.register.clone(),
    };
    Request {
        table: first.register.table,
        start: first.register.address,
        count: u16::try_from(end - first.start()).unwrap_or(u16::MAX),
        fields: tags.iter().map(field).collect(),
    }
}

#[cfg(test)]
mod tests;
