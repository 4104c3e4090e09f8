//! Domain names between text and hickory's form.

use super::DnsError;
use hickory_proto::rr::Name;

/// Reads an absolute name, with or without its final dot, in lower case. Nothing is an escape: the octets between two
/// dots are the label, whatever they are (RFC 2181 §11), since SPF macros may make any of them.
pub(super) fn absolute(text: &str) -> Result<Name, DnsError> {
    let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if text.split('.').any(|label| label.is_empty() || label.len() > 63) {
        return Err(DnsError::BadName);
    }
    Name::from_labels(text.split('.').map(str::as_bytes)).map_err(|_| DnsError::BadName)
}

/// A name as text in lower case, without the final dot; empty for the root. Leads back to the name through [`absolute`],
/// unless a label has a dot or octets that are not ASCII: those come as the escapes of RFC 1035 §5.1, and lead nowhere.
pub(super) fn text(name: &Name) -> String {
    let plain = |label: &[u8]| label.iter().all(|octet| octet.is_ascii() && *octet != b'.');
    let text = if name.iter().all(plain) {
        let labels = name.iter().map(|label| String::from_utf8_lossy(label));
        labels.collect::<Vec<_>>().join(".")
    } else {
        name.to_ascii()
    };
    text.strip_suffix('.').unwrap_or(&text).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_absolute_and_lower_case() {
        assert_eq!(text(&absolute("MX.Example.org").unwrap()), "mx.example.org");
        assert_eq!(text(&absolute("mx.example.org.").unwrap()), "mx.example.org");
        assert!(absolute("mx.example.org").unwrap().is_fqdn());
        assert_eq!(text(&absolute("a:b/c d\\e.example").unwrap()), "a:b/c d\\e.example");
        assert_eq!(text(&Name::root()), "");
    }

    #[test]
    fn any_octet_but_the_dot_may_stand_in_a_label() {
        let name = absolute("a b\\.ü.example").unwrap();
        assert_eq!(name.iter().collect::<Vec<_>>(), [&b"a b\\"[..], "ü".as_bytes(), b"example"]);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = vec!["a".repeat(63); 4].join(".");
        for text in ["", ".", "..", "a..b", ".a", &long_label, &long_name] {
            assert_eq!(absolute(text), Err(DnsError::BadName), "{text}");
        }
    }
}
