//! Folders of `.eml` files: each folder a mailbox, each file a message.

use super::survey::{FileError, Survey, changed_seconds, mailbox_of, sent_seconds, walk};
use crate::{limits, mail::Flags};
use std::{
    fs::{File, Metadata},
    io::{self, Read as _},
    path::Path,
};

/// Looks through a folder, or takes a file alone whatever its name.
pub(super) fn survey(source: &Path, survey: &mut Survey) -> Result<(), FileError> {
    let files = walk(source).map_err(|error| (source.to_owned(), error))?;
    let is_folder = source.is_dir();
    for path in files.iter().filter(|path| !is_folder || is_eml(path)) {
        let folder = path.parent().filter(|_| is_folder).unwrap_or(source);
        let mailbox = mailbox_of(source, folder);
        add(path, &mailbox, survey).map_err(|error| (path.clone(), error))?;
    }
    Ok(())
}

fn is_eml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("eml"))
}

fn add(path: &Path, mailbox: &str, survey: &mut Survey) -> io::Result<()> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let seconds = sent(file, &metadata)?;
    survey.add_mailbox(mailbox);
    let number = survey.add_file(path);
    survey.add(mailbox, (seconds, Flags::default()), (number, 0..metadata.len()))
}

/// When it was sent by its Date field, or when the file was written.
fn sent(file: File, metadata: &Metadata) -> io::Result<i64> {
    let mut header = Vec::new();
    file.take(limits::IMPORT_HEADER_OCTETS_MAX).read_to_end(&mut header)?;
    Ok(sent_seconds(&header).unwrap_or_else(|| changed_seconds(metadata)))
}
