//! Numbers of variable length, for rows of many small numbers: LEB128, signed ones zigzag.

/// Adds a number.
pub(super) fn put(octets: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        octets.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    octets.push(value as u8);
}

/// Adds a signed number.
pub(super) fn put_signed(octets: &mut Vec<u8>, value: i64) {
    put(octets, ((value << 1) ^ (value >> 63)) as u64);
}

/// Takes a number off the front; `None` where there is none of at most 64 bits.
pub(super) fn take(octets: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (octet, rest) = octets.split_first()?;
        *octets = rest;
        value |= u64::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Takes a signed number off the front.
pub(super) fn take_signed(octets: &mut &[u8]) -> Option<i64> {
    let value = take(octets)?;
    Some(((value >> 1) as i64) ^ -((value & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_read_back(numbers in proptest::collection::vec((any::<u64>(), any::<i64>()), 0..20)) {
            let mut octets = Vec::new();
            for (number, signed) in &numbers {
                put(&mut octets, *number);
                put_signed(&mut octets, *signed);
            }
            let mut rest = &*octets;
            for (number, signed) in numbers {
                prop_assert_eq!(take(&mut rest), Some(number));
                prop_assert_eq!(take_signed(&mut rest), Some(signed));
            }
            prop_assert!(rest.is_empty());
        }
    }

    #[test]
    fn a_number_that_does_not_end_is_none() {
        assert_eq!(take(&mut &[0x80_u8; 3][..]), None);
        assert_eq!(take(&mut &[0x80_u8; 30][..]), None);
    }
}
