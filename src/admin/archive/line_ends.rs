//! Line ends: mail has CRLF, files on Unix have LF.

use memchr::{memchr_iter, memmem};

/// A message of a file as it is stored: where its lines end in LF alone, they get their CR.
///
/// A message that has CRLF anywhere is taken to mean its octets.
pub(in crate::admin) fn as_imported(octets: Vec<u8>) -> Vec<u8> {
    if memmem::find(&octets, b"\r\n").is_some() {
        return octets;
    }
    let lines = memchr_iter(b'\n', &octets).count();
    if lines == 0 {
        return octets;
    }
    let mut converted = Vec::with_capacity(octets.len() + lines);
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        match line.split_last() {
            Some((b'\n', text)) => {
                converted.extend_from_slice(text);
                converted.extend_from_slice(b"\r\n");
            }
            _ => converted.extend_from_slice(line),
        }
    }
    converted
}

/// A stored message as mbox and Maildir have it: with LF, where [`as_imported`] gives the same octets back.
pub(in crate::admin) fn as_written(octets: &[u8]) -> Vec<u8> {
    let mut converted = Vec::with_capacity(octets.len());
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        match line.strip_suffix(b"\r\n") {
            Some(text) if !text.contains(&b'\r') => {
                converted.extend_from_slice(text);
                converted.push(b'\n');
            }
            // The last line may lack its end; a bare CR or LF anywhere keeps the message as it is.
            None if !line.ends_with(b"\n") && !line.contains(&b'\r') => converted.extend_from_slice(line),
            _ => return octets.to_vec(),
        }
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_imported_as_it_was() {
        for stored in [&b"a\r\nb\r\n"[..], b"a\r\nb", b"", b"a", b"\r\n\r\n", b"a\r\nb\nc\r\n", b"a\rb\r\n", b"a\rb"] {
            assert_eq!(as_imported(as_written(stored)), stored, "{}", stored.escape_ascii());
        }
        assert_eq!(as_written(b"a\r\nb\r\n"), b"a\nb\n");
        assert_eq!(as_written(b"a\r\nb\n"), b"a\r\nb\n");
        assert_eq!(as_imported(b"a\nb".to_vec()), b"a\r\nb");
    }
}
