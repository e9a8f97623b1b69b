//! Joins the pieces of frames, as they come from their places. Pure.

use super::places::SlotError;

/// Most room that is taken for a frame before its pieces are there: what a piece says of its followers is from the disk.
const MOST_RESERVED: usize = 1 << 20;

/// Joins pieces to frames.
#[derive(Default)]
pub(super) struct Joined {
    /// The place of the next piece.
    expected: u64,
    begin: u64,
    /// Pieces that are still to come; 0 between frames.
    following: u16,
    bytes: Vec<u8>,
}

impl Joined {
    /// None yet; the first one comes from that place.
    pub(super) fn at(slot: u64) -> Joined {
        Joined {
            expected: slot,
            ..Joined::default()
        }
    }

    /// The place of the next piece.
    pub(super) fn expected(&self) -> u64 {
        self.expected
    }

    /// A piece comes from this place, whatever is gone before it: a frame that it does not go on is forgotten.
    pub(super) fn follow(&mut self, slot: u64, following: u16) {
        let goes_on = self.following == 0 || self.following.checked_sub(1) == Some(following);
        if slot != self.expected || !goes_on {
            *self = Joined::at(slot);
        }
    }

    /// The place of the last piece of a frame that is not whole.
    pub(super) fn last(&self) -> Option<u64> {
        let more = u64::from(self.following).checked_sub(1)?;
        Some(self.expected + more)
    }

    /// Adds a piece; returns the frame that it completes and the place where that begins.
    pub(super) fn add<'a>(
        &'a mut self,
        slot: u64,
        following: u16,
        part: &'a [u8],
    ) -> Result<Option<(u64, &'a [u8])>, SlotError> {
        let begins = self.following == 0;
        if slot != self.expected || !begins && following + 1 != self.following {
            let lacking = self.expected;
            return Err(SlotError::Bent(format!(
                "place {lacking} has no piece of its frame"
            )));
        }
        self.expected = slot + 1;
        self.following = following;
        if begins {
            self.begin = slot;
            self.bytes.clear();
            if following == 0 {
                return Ok(Some((slot, part)));
            }
            // All pieces but the last are as long as the first.
            let whole = part.len().saturating_mul(usize::from(following) + 1);
            self.bytes.reserve(whole.min(MOST_RESERVED));
        }
        self.bytes.extend_from_slice(part);
        Ok((following == 0).then_some((self.begin, self.bytes.as_slice())))
    }
}
