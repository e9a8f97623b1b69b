//! Goes over a message before the library decodes it: how long and how deep what it holds is. Pure.
//!
//! Called by `guard` with each whole message. The library has one limit for all arrays, and none for diagnostics in
//! diagnostics and for values in values: a server could fill the stack with them, and that ends the process. The order of
//! fields is that of OPC 10000-6, 5.2 and OPC 10000-4.

use super::limits::{MAX_ARRAY, MAX_DEPTH, MAX_NODES, MAX_STRING};
use opcua::types::ObjectId;

/// What is too much in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// It ends before what it announces.
    #[error("a message that is cut off")]
    Cut,
    /// So many bytes in one text.
    #[error("a text of {0} bytes")]
    Text(i64),
    /// So many elements in one array.
    #[error("an array of {0} elements")]
    Array(i64),
    /// Values in values.
    #[error("values nested deeper than {MAX_DEPTH}")]
    Depth,
    /// Nobody could decode it.
    #[error("a type of value that does not exist")]
    Type,
    /// An answer to a request that is never sent.
    #[error("a message that nobody asked for")]
    Message,
}

type Skimmed = Result<(), Excess>;
/// What passes over one element.
type Part<'a> = fn(&mut Skim<'a>) -> Skimmed;

/// Looks at one whole message: its type, and what follows.
///
/// # Errors
/// What is too much in it.
pub fn skim(message: &[u8]) -> Skimmed {
    let mut skim = Skim {
        rest: message,
        depth: 0,
        longest: MAX_NODES,
    };
    let kind = skim.kind()?.ok_or(Excess::Message)?;
    skim.header()?;
    skim.message(kind)
}

/// What is left of a message.
struct Skim<'a> {
    rest: &'a [u8],
    depth: u64,
    /// Most elements of an array in this message.
    longest: usize,
}

impl<'a> Skim<'a> {
    /// What follows the head, by type.
    fn message(&mut self, kind: u32) -> Skimmed {
        use ObjectId as Id;
        let is = |id: ObjectId| id as u32 == kind;
        if is(Id::PublishResponse_Encoding_DefaultBinary) {
            self.longest = MAX_ARRAY;
            self.publish()
        } else if is(Id::ReadResponse_Encoding_DefaultBinary) {
            self.many(Self::data_value)?;
            self.many(Self::diagnostics)
        } else if is(Id::BrowseResponse_Encoding_DefaultBinary)
            || is(Id::BrowseNextResponse_Encoding_DefaultBinary)
        {
            self.many(Self::browsed)?;
            self.many(Self::diagnostics)
        } else if is(Id::TranslateBrowsePathsToNodeIdsResponse_Encoding_DefaultBinary) {
            self.many(Self::translated)?;
            self.many(Self::diagnostics)
        } else if is(Id::CreateMonitoredItemsResponse_Encoding_DefaultBinary) {
            self.many(Self::monitored)?;
            self.many(Self::diagnostics)
        } else if is(Id::CreateSubscriptionResponse_Encoding_DefaultBinary) {
            self.skip(4 + 8 + 4 + 4)
        } else if is(Id::GetEndpointsResponse_Encoding_DefaultBinary) {
            self.many(Self::endpoint)
        } else if is(Id::CreateSessionResponse_Encoding_DefaultBinary) {
            self.created()
        } else if is(Id::ActivateSessionResponse_Encoding_DefaultBinary) {
            self.text()?;
            self.many(|skim| skim.skip(4))?;
            self.many(Self::diagnostics)
        } else if is(Id::OpenSecureChannelResponse_Encoding_DefaultBinary) {
            self.skip(4 + 4 + 4 + 8 + 4)?;
            self.text()
        } else if is(Id::CloseSessionResponse_Encoding_DefaultBinary)
            || is(Id::CloseSecureChannelResponse_Encoding_DefaultBinary)
            || is(Id::ServiceFault_Encoding_DefaultBinary)
        {
            Ok(())
        } else {
            Err(Excess::Message)
        }
    }

    /// Time, handle, status, diagnostics, their texts, and what nobody uses yet.
    fn header(&mut self) -> Skimmed {
        self.skip(8 + 4 + 4)?;
        self.diagnostics()?;
        self.many(Self::text)?;
        self.extension()
    }

    fn publish(&mut self) -> Skimmed {
        self.skip(4)?;
        self.many(|skim| skim.skip(4))?;
        self.skip(1 + 4 + 8)?;
        self.many(Self::notification)?;
        self.many(|skim| skim.skip(4))?;
        self.many(Self::diagnostics)
    }

    /// News, read to the bottom, since the library does so.
    fn notification(&mut self) -> Skimmed {
        let kind = self.kind()?;
        if self.byte()? != 1 {
            return Err(Excess::Type);
        }
        let length = self.length()?;
        let mut inside = Skim {
            rest: self.take(usize::try_from(length).map_err(|_| Excess::Cut)?)?,
            depth: self.depth,
            longest: self.longest,
        };
        let is = |id: ObjectId| kind == Some(id as u32);
        if is(ObjectId::DataChangeNotification_Encoding_DefaultBinary) {
            inside.many(|skim| {
                skim.skip(4)?;
                skim.data_value()
            })?;
            inside.many(Self::diagnostics)
        } else if is(ObjectId::StatusChangeNotification_Encoding_DefaultBinary) {
            inside.skip(4)?;
            inside.diagnostics()
        } else if inside.rest.len() > MAX_STRING {
            Err(Excess::Text(i64::from(length)))
        } else {
            Ok(())
        }
    }

    fn browsed(&mut self) -> Skimmed {
        self.skip(4)?;
        self.text()?;
        self.many(|skim| {
            skim.node()?;
            skim.skip(1)?;
            skim.node()?;
            skim.skip(2)?;
            skim.text()?;
            skim.localized()?;
            skim.skip(4)?;
            skim.node()
        })
    }

    fn translated(&mut self) -> Skimmed {
        self.skip(4)?;
        self.many(|skim| {
            skim.node()?;
            skim.skip(4)
        })
    }

    fn monitored(&mut self) -> Skimmed {
        self.skip(4 + 4 + 8 + 4)?;
        self.extension()
    }

    fn endpoint(&mut self) -> Skimmed {
        self.text()?;
        self.texts(2)?;
        self.localized()?;
        self.skip(4)?;
        self.texts(2)?;
        self.many(Self::text)?;
        self.text()?;
        self.skip(4)?;
        self.text()?;
        self.many(|skim| {
            skim.text()?;
            skim.skip(4)?;
            skim.texts(3)
        })?;
        self.text()?;
        self.skip(1)
    }

    fn created(&mut self) -> Skimmed {
        self.node()?;
        self.node()?;
        self.skip(8)?;
        self.texts(2)?;
        self.many(Self::endpoint)?;
        self.many(|skim| skim.texts(2))?;
        self.texts(2)?;
        self.skip(4)
    }

    fn data_value(&mut self) -> Skimmed {
        self.deeper(|skim| {
            let mask = skim.byte()?;
            if mask & 0x01 != 0 {
                skim.variant()?;
            }
            let sizes = [(0x02, 4), (0x04, 8), (0x10, 2), (0x08, 8), (0x20, 2)];
            let rest = sizes.iter().filter(|(bit, _)| mask & bit != 0);
            skim.skip(rest.map(|(_, size)| size).sum())
        })
    }

    fn variant(&mut self) -> Skimmed {
        self.deeper(|skim| {
            let mask = skim.byte()?;
            let scalar: Part<'a> = match mask & 0x3F {
                // Nothing takes no bytes, so there can be any number of them.
                0 if mask & 0x80 != 0 => return Err(Excess::Type),
                0 => |_| Ok(()),
                1..=3 => |skim| skim.skip(1),
                4 | 5 => |skim| skim.skip(2),
                6 | 7 | 10 | 19 => |skim| skim.skip(4),
                8 | 9 | 11 | 13 => |skim| skim.skip(8),
                12 | 15 | 16 => Self::text,
                14 => |skim| skim.skip(16),
                17 | 18 => Self::node,
                20 => |skim| {
                    skim.skip(2)?;
                    skim.text()
                },
                21 => Self::localized,
                22 => Self::extension,
                23 => Self::data_value,
                24 => Self::variant,
                25 => Self::diagnostics,
                _ => return Err(Excess::Type),
            };
            if mask & 0x80 == 0 {
                scalar(skim)?;
            } else {
                skim.many(scalar)?;
            }
            if mask & 0x40 != 0 {
                skim.many(|skim| skim.skip(4))?;
            }
            Ok(())
        })
    }

    fn diagnostics(&mut self) -> Skimmed {
        self.deeper(|skim| {
            let mask = skim.byte()?;
            for bit in [0x01, 0x02, 0x04, 0x08] {
                skim.skip(if mask & bit == 0 { 0 } else { 4 })?;
            }
            if mask & 0x10 != 0 {
                skim.text()?;
            }
            skim.skip(if mask & 0x20 == 0 { 0 } else { 4 })?;
            if mask & 0x40 != 0 {
                skim.diagnostics()?;
            }
            Ok(())
        })
    }

    /// A structure, whose bytes are kept as they are.
    fn extension(&mut self) -> Skimmed {
        self.node()?;
        match self.byte()? {
            0 => Ok(()),
            1 | 2 => self.text(),
            _ => Err(Excess::Type),
        }
    }

    fn localized(&mut self) -> Skimmed {
        let mask = self.byte()?;
        self.texts(usize::from(mask & 1) + usize::from(mask >> 1 & 1))
    }

    /// A node id, plain or expanded.
    fn node(&mut self) -> Skimmed {
        let form = self.byte()?;
        match form & 0x3F {
            0 => self.skip(1)?,
            1 => self.skip(3)?,
            2 => self.skip(2 + 4)?,
            4 => self.skip(2 + 16)?,
            3 | 5 => {
                self.skip(2)?;
                self.text()?;
            }
            _ => return Err(Excess::Type),
        }
        if form & 0x80 != 0 {
            self.text()?;
        }
        self.skip(if form & 0x40 == 0 { 0 } else { 4 })
    }

    /// A node id that names a type of the standard; `None` for another one.
    fn kind(&mut self) -> Result<Option<u32>, Excess> {
        let before = self.rest;
        self.node()?;
        Ok(match *before {
            [0, id, ..] => Some(u32::from(id)),
            [1, 0, low, high, ..] => Some(u32::from(u16::from_le_bytes([low, high]))),
            [2, 0, 0, a, b, c, d, ..] => Some(u32::from_le_bytes([a, b, c, d])),
            _ => None,
        })
    }

    fn texts(&mut self, count: usize) -> Skimmed {
        (0..count).try_for_each(|_| self.text())
    }

    /// A text or bytes, with the length before it.
    fn text(&mut self) -> Skimmed {
        let length = self.length()?;
        match usize::try_from(length) {
            Ok(length) if length <= MAX_STRING => self.skip(length),
            Ok(_) => Err(Excess::Text(i64::from(length))),
            Err(_none) => Ok(()),
        }
    }

    /// An array, with the number of its elements before it.
    fn many(&mut self, part: Part<'a>) -> Skimmed {
        let count = self.length()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.longest => (0..count).try_for_each(|_| part(self)),
            Ok(_) => Err(Excess::Array(i64::from(count))),
            Err(_none) => Ok(()),
        }
    }

    fn deeper(&mut self, part: impl FnOnce(&mut Self) -> Skimmed) -> Skimmed {
        if self.depth > MAX_DEPTH {
            return Err(Excess::Depth);
        }
        self.depth += 1;
        let skimmed = part(self);
        self.depth -= 1;
        skimmed
    }

    fn length(&mut self) -> Result<i32, Excess> {
        let bytes = self.take(4)?;
        let bytes = bytes.try_into().map_err(|_| Excess::Cut)?;
        Ok(i32::from_le_bytes(bytes))
    }

    fn byte(&mut self) -> Result<u8, Excess> {
        self.take(1)?.first().copied().ok_or(Excess::Cut)
    }

    fn skip(&mut self, count: usize) -> Skimmed {
        self.take(count).map(drop)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Excess> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Excess::Cut)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests;
