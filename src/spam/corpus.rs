//! Labelled messages on disk: an index of `label path` lines beside the files it names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What a message is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Wanted.
    Ham,
    /// Not wanted.
    Spam,
}

/// A labelled message.
#[derive(Clone, Debug)]
pub struct Example {
    /// What it is.
    pub label: Label,
    /// Its octets, without an mbox `From ` line.
    pub raw: Vec<u8>,
}

/// A list of labelled files. Files are read one at a time, so a corpus of any size costs the
/// memory of one message.
#[derive(Clone, Debug)]
pub struct Corpus {
    entries: Vec<(Label, PathBuf)>,
}

impl Corpus {
    /// Reads an index: on each line `ham` or `spam` and a path relative to the index's folder; further
    /// words are passed over. Any other first word is an error that names the line.
    pub fn open(index: &Path) -> io::Result<Self> {
        let folder = index.parent().unwrap_or(Path::new("."));
        let text = fs::read_to_string(index)?;
        let entries = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| entry(folder, line).ok_or_else(|| bad_line(index, number + 1)))
            .collect::<io::Result<_>>()?;
        Ok(Self { entries })
    }

    /// Messages listed.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it lists none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The messages in the order of the index.
    pub fn examples(&self) -> impl Iterator<Item = io::Result<Example>> + '_ {
        self.entries.iter().map(|(label, path)| {
            let raw =
                fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
            Ok(Example { label: *label, raw: without_mbox_line(raw) })
        })
    }
}

fn entry(folder: &Path, line: &str) -> Option<(Label, PathBuf)> {
    let mut words = line.split_whitespace();
    let label = match words.next()?.to_ascii_lowercase().as_str() {
        "ham" => Label::Ham,
        "spam" => Label::Spam,
        _ => return None,
    };
    Some((label, folder.join(words.next()?)))
}

fn bad_line(index: &Path, number: usize) -> io::Error {
    let text = format!("{}:{number}: expected `ham PATH` or `spam PATH`", index.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn without_mbox_line(raw: Vec<u8>) -> Vec<u8> {
    if !raw.starts_with(b"From ") {
        return raw;
    }
    match memchr::memchr(b'\n', &raw) {
        Some(end) => raw.get(end + 1..).unwrap_or_default().to_vec(),
        None => raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_files_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "From x\nSubject: a\n\n").unwrap();
        fs::write(folder.path().join("b"), "Subject: b\n\n").unwrap();
        fs::write(folder.path().join("index"), "ham a 2001-01-01\n\nSPAM b\n").unwrap();
        let corpus = Corpus::open(&folder.path().join("index")).unwrap();
        let examples: Vec<Example> = corpus.examples().collect::<io::Result<_>>().unwrap();
        assert_eq!(corpus.len(), 2);
        assert_eq!((examples[0].label, &*examples[0].raw), (Label::Ham, &b"Subject: a\n\n"[..]));
        assert_eq!((examples[1].label, &*examples[1].raw), (Label::Spam, &b"Subject: b\n\n"[..]));
    }

    #[test]
    fn a_line_that_is_no_entry_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index"), "ham a\nmaybe b\n").unwrap();
        let error = Corpus::open(&folder.path().join("index")).unwrap_err().to_string();
        assert!(error.ends_with("index:2: expected `ham PATH` or `spam PATH`"), "{error}");
    }
}
