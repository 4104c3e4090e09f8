//! The setting that a wrong key may have meant.

/// The known key nearest to `key`, unless even that is far off.
pub(super) fn nearest<'a>(key: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned).unwrap_or_default();
    let (name, longest) = (last(key), key.chars().count() / 3);
    known
        .map(|known| {
            // The right name in the wrong section is one step off, whatever the sections are called.
            let distance = if last(known) == name { 1 } else { distance(key, known) };
            (distance, known)
        })
        .filter(|(distance, _)| *distance <= longest.max(1))
        .min()
        .map(|(_, known)| known)
}

/// Insertions, deletions and replacements that turn one text into the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (line, left) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(other.chars()) {
            let replaced = diagonal + usize::from(left != right);
            diagonal = *cell;
            *cell = replaced.min(diagonal + 1).min(before + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (one, other, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2), ("a", "a", 0)]
        {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_key_far_from_all_others_has_no_nearest() {
        let known = || ["mx.listen", "dns.servers", "imap.listen_tls"].into_iter();
        assert_eq!(nearest("mx.lisen", known()), Some("mx.listen"));
        assert_eq!(nearest("server.servers", known()), Some("dns.servers"));
        assert_eq!(nearest("mx.quota", known()), None);
    }
}
