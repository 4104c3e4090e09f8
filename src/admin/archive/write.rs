//! Writing an archive: mailboxes one after another, messages by rising UID.

use super::{Form, as_written, maildir, mbox};
use crate::mail::Flags;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

/// One message on its way out.
pub(in crate::admin) struct Outgoing {
    /// Its UID.
    pub(in crate::admin) uid: u32,
    /// When it came, in seconds since 1970.
    pub(in crate::admin) seconds: i64,
    /// Its flags.
    pub(in crate::admin) flags: Flags,
    /// Its octets.
    pub(in crate::admin) octets: bytes::Bytes,
}

/// Writes one archive into a folder of its own.
pub(in crate::admin) struct Writer {
    form: Form,
    root: PathBuf,
    folder: PathBuf,
    /// The mailbox's file, where it has one.
    file: Option<BufWriter<File>>,
}

impl Writer {
    /// Makes the folder. It may exist, but must be empty: nothing is written over.
    pub(in crate::admin) fn new(root: &Path, form: Form) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        if fs::read_dir(root)?.next().is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the folder is not empty"));
        }
        Ok(Self { form, root: root.to_owned(), folder: root.to_owned(), file: None })
    }

    /// Ends the mailbox before and begins another.
    pub(in crate::admin) fn mailbox(&mut self, name: &str) -> io::Result<()> {
        self.finish()?;
        match self.form {
            Form::Mbox => {
                let path = below(&self.root, name)?;
                let path = path.with_file_name(format!("{}.mbox", file_name(&path)));
                fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
                self.file = Some(BufWriter::new(OpenOptions::new().write(true).create_new(true).open(path)?));
            }
            Form::Maildir => {
                self.folder = maildir::folder(&self.root, name);
                for place in ["tmp", "new", "cur"] {
                    fs::create_dir_all(self.folder.join(place))?;
                }
            }
            Form::Eml => {
                self.folder = below(&self.root, name)?;
                fs::create_dir_all(&self.folder)?;
            }
        }
        Ok(())
    }

    /// Writes a message of the mailbox.
    pub(in crate::admin) fn message(&mut self, message: &Outgoing) -> io::Result<()> {
        let Outgoing { uid, seconds, flags, octets } = message;
        match (self.form, &mut self.file) {
            (Form::Mbox, Some(file)) => {
                file.write_all(b"From MAILER-DAEMON ")?;
                file.write_all(crate::admin::date::asctime(*seconds).as_bytes())?;
                file.write_all(b"\n")?;
                file.write_all(&mbox::quoted(&as_written(octets)))?;
                file.write_all(b"\n")
            }
            (Form::Mbox, None) => Err(io::Error::other("a message before its mailbox")),
            (Form::Maildir, _) => {
                let name = maildir::file_name(*seconds, *uid, flags);
                let unfinished = self.folder.join("tmp").join(&name);
                write_new(&unfinished, &as_written(octets))?;
                fs::rename(unfinished, self.folder.join("cur").join(name))
            }
            (Form::Eml, _) => write_new(&self.folder.join(format!("{uid:010}.eml")), octets),
        }
    }

    /// Ends the last mailbox; what was written is then on stable storage as far as the system says so.
    pub(in crate::admin) fn finish(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        }
        // Thousands of small files: one call for all of them.
        Ok(rustix::fs::syncfs(File::open(&self.root)?)?)
    }
}

fn write_new(path: &Path, octets: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(octets)
}

/// The path of a mailbox's levels below a folder. `.` and `..` are mailbox names, but no file names.
fn below(root: &Path, name: &str) -> io::Result<PathBuf> {
    let mut path = root.to_owned();
    for level in name.split('/') {
        if matches!(level, "" | "." | "..") || level.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("the mailbox `{name}` makes no file name"),
            ));
        }
        path.push(level);
    }
    Ok(path)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
