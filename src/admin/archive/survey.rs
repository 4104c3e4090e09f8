//! Looking through an archive: which messages there are, where, and from when.

use super::{Form, as_imported, eml, maildir, mbox};
use crate::{limits, mail::Flags, message};
use std::{
    fs::{self, File},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// One message of an archive.
#[derive(Clone, Debug)]
pub(in crate::admin) struct Found {
    /// Its mailbox below the root, with `/` between levels; empty for the root itself.
    pub(in crate::admin) mailbox: String,
    /// When it came, in seconds since 1970.
    pub(in crate::admin) seconds: i64,
    /// Its flags.
    pub(in crate::admin) flags: Flags,
    /// In `Survey::files`.
    file: usize,
    offset: u64,
    octets: u64,
}

/// What an archive holds.
pub(in crate::admin) struct Survey {
    /// The form found or told.
    pub(in crate::admin) form: Form,
    /// The messages, by mailbox and then by date.
    pub(in crate::admin) found: Vec<Found>,
    /// Mailboxes without messages are here too.
    pub(in crate::admin) mailboxes: Vec<String>,
    files: Vec<PathBuf>,
}

/// An error with its file.
pub(in crate::admin) type FileError = (PathBuf, io::Error);

impl Survey {
    /// Looks through a file or folder; `told` says what it is, where its look does not.
    pub(in crate::admin) fn of(source: &Path, told: Option<Form>) -> Result<Self, FileError> {
        let form = match told {
            Some(form) => form,
            None => detect(source).map_err(|error| (source.to_owned(), error))?,
        };
        let mut survey = Self { form, found: Vec::new(), mailboxes: Vec::new(), files: Vec::new() };
        match form {
            Form::Mbox => mbox::survey(source, &mut survey)?,
            Form::Maildir => maildir::survey(source, &mut survey)?,
            Form::Eml => eml::survey(source, &mut survey)?,
        }
        // The sort is stable: messages of one second stay in the order of the archive.
        survey.found.sort_by(|one, other| (&one.mailbox, one.seconds).cmp(&(&other.mailbox, other.seconds)));
        survey.mailboxes.sort();
        survey.mailboxes.dedup();
        Ok(survey)
    }

    /// Octets of a message in its file.
    pub(in crate::admin) fn octets(&self, found: &Found) -> u64 {
        found.octets
    }

    /// The file of a message.
    pub(in crate::admin) fn file(&self, found: &Found) -> &Path {
        self.files.get(found.file).map_or(Path::new(""), PathBuf::as_path)
    }

    /// Reads a message, with the line ends that mail has.
    pub(in crate::admin) fn read(&self, found: &Found) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.file(found))?;
        file.seek(SeekFrom::Start(found.offset))?;
        let mut octets = Vec::with_capacity(usize::try_from(found.octets).unwrap_or_default());
        file.take(found.octets).read_to_end(&mut octets)?;
        if octets.len() as u64 != found.octets {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
        }
        Ok(as_imported(if self.form == Form::Mbox { mbox::unquoted(octets) } else { octets }))
    }

    pub(super) fn add_mailbox(&mut self, mailbox: &str) {
        self.mailboxes.push(mailbox.to_owned());
    }

    pub(super) fn add_file(&mut self, file: &Path) -> usize {
        self.files.push(file.to_owned());
        self.files.len() - 1
    }

    /// Adds a message that lies in one file with others, or alone.
    pub(super) fn add(
        &mut self,
        mailbox: &str,
        (seconds, flags): (i64, Flags),
        (file, octets): (usize, std::ops::Range<u64>),
    ) -> io::Result<()> {
        if self.found.len() >= limits::IMPORT_MESSAGES_MAX {
            let most = limits::IMPORT_MESSAGES_MAX;
            return Err(io::Error::other(format!("more than {most} messages; import them in parts")));
        }
        let (offset, octets) = (octets.start, octets.end - octets.start);
        self.found.push(Found { mailbox: mailbox.to_owned(), seconds, flags, file, offset, octets });
        Ok(())
    }
}

/// What a source looks like.
fn detect(source: &Path) -> io::Result<Form> {
    if !fs::metadata(source)?.is_dir() {
        let mut start = [0; 5];
        let octets = File::open(source)?.read(&mut start)?;
        return Ok(if start.get(..octets) == Some(b"From ") { Form::Mbox } else { Form::Eml });
    }
    if maildir::is_folder(source) {
        return Ok(Form::Maildir);
    }
    let has_mbox = walk(source)?.iter().any(|file| mbox::is_file(file));
    Ok(if has_mbox { Form::Mbox } else { Form::Eml })
}

/// Every file below a folder, by path; a file alone is itself. Links are not followed, so that no circle is walked.
pub(super) fn walk(source: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(source)?.is_dir() {
        return Ok(vec![source.to_owned()]);
    }
    let (mut files, mut folders) = (Vec::new(), vec![source.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The mailbox of a path below `source`: its levels, each lossily as UTF-8.
pub(super) fn mailbox_of(source: &Path, path: &Path) -> String {
    let below = path.strip_prefix(source).unwrap_or(Path::new(""));
    below.iter().map(|level| level.to_string_lossy().into_owned()).collect::<Vec<_>>().join("/")
}

/// When a message was sent, by its header.
pub(super) fn sent_seconds(header: &[u8]) -> Option<i64> {
    message::analyse(header).sent_seconds
}

/// When a file was last changed, in seconds since 1970.
pub(super) fn changed_seconds(metadata: &fs::Metadata) -> i64 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}
