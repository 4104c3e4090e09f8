//! Maildir and the folders of Maildir++: `cur` and `new` of the root are INBOX, `.Sent` is a mailbox beside it.

use super::{
    modified_utf7,
    survey::{FileError, Survey, changed_seconds},
};
use crate::mail::{Flag, Flags, Keyword, SystemFlags};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The keyword that has a letter of its own.
const FORWARDED: &str = "$Forwarded";

/// Letters of system flags, in the order in which they are written.
const LETTERS: [(char, SystemFlags); 5] = [
    ('D', SystemFlags::DRAFT),
    ('F', SystemFlags::FLAGGED),
    ('R', SystemFlags::ANSWERED),
    ('S', SystemFlags::SEEN),
    ('T', SystemFlags::DELETED),
];

/// Whether a folder is a Maildir, or holds one in the manner of Maildir++.
pub(super) fn is_folder(folder: &Path) -> bool {
    is_maildir(folder) || folders(folder).is_ok_and(|folders| !folders.is_empty())
}

fn is_maildir(folder: &Path) -> bool {
    folder.join("cur").is_dir()
}

/// The Maildirs whose names begin with a dot.
fn folders(root: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix('.'));
        if let Some(name) = name.filter(|_| is_maildir(&path)) {
            found.push((mailbox(name), path));
        }
    }
    found.sort();
    Ok(found)
}

/// The mailbox of a folder's name without its first dot.
fn mailbox(name: &str) -> String {
    let level = |level: &str| modified_utf7::decode(level).unwrap_or_else(|| level.to_owned());
    name.split('.').map(level).collect::<Vec<_>>().join("/")
}

/// The folder of a mailbox; the root's own for INBOX. A dot inside a level cannot be told from a new level.
pub(super) fn folder(root: &Path, mailbox: &str) -> PathBuf {
    match mailbox {
        "INBOX" => root.to_owned(),
        other => root.join(format!(".{}", modified_utf7::encode(other).replace('/', "."))),
    }
}

/// Looks through the root and its folders.
pub(super) fn survey(source: &Path, survey: &mut Survey) -> Result<(), FileError> {
    let folders = folders(source).map_err(|error| (source.to_owned(), error))?;
    let root = is_maildir(source).then(|| (String::new(), source.to_owned()));
    for (mailbox, folder) in root.into_iter().chain(folders) {
        survey.add_mailbox(&mailbox);
        for place in ["new", "cur"] {
            let folder = folder.join(place);
            if folder.is_dir() {
                files(&folder, &mailbox, survey).map_err(|error| (folder.clone(), error))?;
            }
        }
    }
    Ok(())
}

fn files(folder: &Path, mailbox: &str, survey: &mut Survey) -> io::Result<()> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        let metadata = fs::metadata(&path)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Dovecot's and Courier's own files begin with a dot.
        if !metadata.is_file() || name.starts_with('.') {
            continue;
        }
        let came = (seconds(&name).unwrap_or_else(|| changed_seconds(&metadata)), flags(&name));
        let number = survey.add_file(&path);
        survey.add(mailbox, came, (number, 0..metadata.len()))?;
    }
    Ok(())
}

/// A name begins with the time of delivery.
fn seconds(name: &str) -> Option<i64> {
    name.split('.').next()?.parse().ok().filter(|seconds| *seconds > 0)
}

/// The letters behind `:2,`.
fn flags(name: &str) -> Flags {
    let letters = name.rsplit_once(":2,").map_or("", |(_, letters)| letters);
    let mut flags = Flags::default();
    for (letter, flag) in LETTERS {
        if letters.contains(letter) {
            flags.system = flags.system.union(flag);
        }
    }
    if letters.contains('P') {
        flags.keywords.extend(Keyword::new(FORWARDED));
    }
    flags
}

/// The name of a message's file.
pub(super) fn file_name(seconds: i64, uid: u32, flags: &Flags) -> String {
    let mut letters: Vec<char> =
        LETTERS.iter().filter(|(_, flag)| flags.system.contains(*flag)).map(|(letter, _)| *letter).collect();
    if flags.keywords.iter().any(|keyword| Flag::Keyword(keyword.clone()) == forwarded()) {
        letters.push('P');
    }
    letters.sort_unstable();
    // Padded, so that names sort as UIDs do.
    format!("{}.U{uid:010}.postern:2,{}", seconds.max(1), letters.into_iter().collect::<String>())
}

fn forwarded() -> Flag {
    Flag::Keyword(Keyword::new(FORWARDED).expect("it is an atom"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_dates_and_flags() {
        for letters in ["", "S", "FRS", "DT", "FPS"] {
            let read = flags(&format!("1.x:2,{letters}"));
            let name = file_name(1_700_000_000, 7, &read);
            assert_eq!(name, format!("1700000000.U0000000007.postern:2,{letters}"));
            assert_eq!((seconds(&name), flags(&name)), (Some(1_700_000_000), read));
        }
        assert_eq!(seconds("x.y"), None);
    }

    #[test]
    fn folders_are_named_as_maildir_names_them() {
        let root = Path::new("/m");
        assert_eq!(folder(root, "INBOX"), root);
        assert_eq!(folder(root, "Entwürfe/alt"), Path::new("/m/.Entw&APw-rfe.alt"));
        assert_eq!(mailbox("Entw&APw-rfe.alt"), "Entwürfe/alt");
    }
}
