//! A version byte and a CRC-32C around bytes that go to disk. Pure.
//!
//! Every version of every sealed thing keeps these five bytes where they are, so that a release can tell damage from a
//! version that it does not know.

/// Version byte and CRC-32C.
pub(super) const HEADER: usize = 5;

/// Why sealed bytes cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SealError {
    /// Cut off or changed.
    #[error("the checksum does not match")]
    Damaged,
    /// Whole, but written by another release.
    #[error("version {0} is not known")]
    Version(u8),
}

/// `body` behind its version and checksum.
pub(super) fn seal(version: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.push(version);
    bytes.extend_from_slice(&checksum(version, body).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The body of what [`seal`] made of the same version.
pub(super) fn unseal(version: u8, bytes: &[u8]) -> Result<&[u8], SealError> {
    let (header, body) = bytes
        .split_first_chunk::<HEADER>()
        .ok_or(SealError::Damaged)?;
    let [found, a, b, c, d] = *header;
    if checksum(found, body) != u32::from_le_bytes([a, b, c, d]) {
        return Err(SealError::Damaged);
    }
    if found != version {
        return Err(SealError::Version(found));
    }
    Ok(body)
}

fn checksum(version: u8, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[version]), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_damage_and_another_version_is_told_apart() {
        let sealed = seal(1, b"body");
        assert_eq!(unseal(1, &sealed), Ok(&b"body"[..]));
        assert_eq!(unseal(2, &sealed), Err(SealError::Version(1)));
        for bit in 0..sealed.len() * 8 {
            let mut bent = sealed.clone();
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(1, &bent), Err(SealError::Damaged), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(unseal(1, &sealed[..length]), Err(SealError::Damaged));
        }
    }
}
