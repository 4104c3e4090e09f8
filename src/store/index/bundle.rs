//! A segment as one immutable object, and the directory through which tantivy reads it.
//!
//! The object: tantivy's files of one segment, our own parts (`numbers`: the message number of each
//! document; `terms.N`: the terms of field N, sorted, each between line ends), then a table of contents in
//! postcard, its length, BLAKE3 of all before, `PSTNIDX1`.

use super::schema::schema;
use crate::store::StoreError;
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tantivy::{
    Index, IndexMeta, IndexSettings, SegmentReader,
    directory::{
        Directory, DirectoryLock, FileHandle, Lock, OwnedBytes, RamDirectory, WatchCallback, WatchHandle, WritePtr,
        error::{DeleteError, LockError, OpenReadError, OpenWriteError},
    },
    index::SegmentId,
};

const MAGIC: &[u8; 8] = b"PSTNIDX1";
/// Length of the table of contents, hash, magic.
const FOOTER_OCTETS: usize = 4 + 32 + 8;
const EXTENSIONS: [&str; 6] = ["term", "idx", "pos", "fast", "store", "fieldnorm"];

/// Writes a bundle.
pub(super) fn write(
    directory: &RamDirectory,
    segment: &SegmentId,
    ours: &[(String, Vec<u8>)],
) -> Result<Vec<u8>, StoreError> {
    let (mut octets, mut contents) = (Vec::new(), Vec::new());
    for extension in EXTENSIONS {
        let path = PathBuf::from(format!("{}.{extension}", segment.uuid_string()));
        if !directory.exists(&path).map_err(|error| failed(&error))? {
            continue;
        }
        let file = directory.open_read(&path).map_err(|error| failed(&error))?;
        let file = file.read_bytes().map_err(|error| failed(&error))?;
        contents.push((extension.to_owned(), octets.len() as u64, file.len() as u64));
        octets.extend_from_slice(&file);
    }
    for (name, part) in ours {
        contents.push((name.clone(), octets.len() as u64, part.len() as u64));
        octets.extend_from_slice(part);
    }
    let table = postcard::to_allocvec(&contents).expect("names and numbers always encode");
    octets.extend_from_slice(&table);
    octets.extend(u32::try_from(table.len()).unwrap_or(u32::MAX).to_le_bytes());
    let hash = blake3::hash(&octets);
    octets.extend_from_slice(hash.as_bytes());
    octets.extend_from_slice(MAGIC);
    Ok(octets)
}

fn failed(error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("index segment: {error}"))
}

/// An open segment.
pub(super) struct OpenSegment {
    pub(super) reader: SegmentReader,
    pub(super) segment: tantivy::Segment,
    numbers: OwnedBytes,
    parts: HashMap<String, OwnedBytes>,
    octets: usize,
}

impl OpenSegment {
    /// Opens a bundle and verifies its hash.
    pub(super) fn open(id: &str, documents: u32, octets: OwnedBytes) -> Result<Self, StoreError> {
        let weight = octets.len();
        let parts = parts(&octets).ok_or_else(|| StoreError::Damaged(format!("index segment {id}")))?;
        let numbers =
            parts.get("numbers").cloned().ok_or_else(|| StoreError::Damaged(format!("index segment {id}")))?;
        let directory = BundleDirectory::new(id, documents, &parts).map_err(|error| failed(&error))?;
        let mut index = Index::open(directory).map_err(|error| failed(&error))?;
        index.set_tokenizers(super::schema::tokenizers());
        let segments = index.searchable_segments().map_err(|error| failed(&error))?;
        let segment = segments.into_iter().next().ok_or_else(|| failed(&"it is empty"))?;
        let reader = SegmentReader::open(&segment).map_err(|error| failed(&error))?;
        Ok(Self { reader, segment, numbers, parts, octets: weight })
    }

    /// The message number of a document.
    pub(super) fn number(&self, document: u32) -> u32 {
        let at = document as usize * 4;
        self.numbers.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |octets| u32::from_le_bytes(*octets))
    }

    pub(super) fn documents(&self) -> u32 {
        self.reader.max_doc()
    }

    /// The terms of a field, sorted, each between line ends.
    pub(super) fn terms(&self, field: tantivy::schema::Field) -> &[u8] {
        self.parts.get(&terms_name(field)).map(OwnedBytes::as_slice).unwrap_or_default()
    }

    /// Octets that it takes, mapped or in memory.
    pub(super) fn weight(&self) -> usize {
        self.octets
    }
}

/// The name of a field's part with its terms.
pub(super) fn terms_name(field: tantivy::schema::Field) -> String {
    format!("terms.{}", field.field_id())
}

fn parts(octets: &OwnedBytes) -> Option<HashMap<String, OwnedBytes>> {
    let body_end = octets.len().checked_sub(FOOTER_OCTETS)?;
    let (body, footer) = octets.as_slice().split_at_checked(body_end)?;
    let (length, footer) = footer.split_first_chunk::<4>()?;
    let (hash, magic) = footer.split_first_chunk::<32>()?;
    let hashed = octets.as_slice().get(..body_end + 4)?;
    if magic != MAGIC || blake3::hash(hashed).as_bytes() != hash {
        return None;
    }
    let table_start = body.len().checked_sub(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let contents: Vec<(String, u64, u64)> = postcard::from_bytes(body.get(table_start..)?).ok()?;
    let slice = |start: u64, length: u64| {
        let (start, length) = (usize::try_from(start).ok()?, usize::try_from(length).ok()?);
        let end = start.checked_add(length).filter(|end| *end <= table_start)?;
        Some(octets.slice(start..end))
    };
    contents.into_iter().map(|(name, start, length)| Some((name, slice(start, length)?))).collect()
}

/// The files of one bundle, with a `meta.json` made from its row.
#[derive(Clone, Debug)]
struct BundleDirectory {
    files: Arc<HashMap<PathBuf, OwnedBytes>>,
    meta: Arc<Vec<u8>>,
}

impl BundleDirectory {
    fn new(id: &str, documents: u32, parts: &HashMap<String, OwnedBytes>) -> tantivy::Result<Self> {
        let segment = SegmentId::from_uuid_string(id)
            .map_err(|error| tantivy::TantivyError::InvalidArgument(error.to_string()))?;
        let template = Index::create_in_ram(schema());
        let meta = IndexMeta {
            index_settings: IndexSettings::default(),
            persisted_custom_extensions: Vec::new(),
            segments: vec![template.new_segment_meta(segment, documents)],
            schema: schema(),
            opstamp: 0,
            payload: None,
        };
        let meta = serde_json::to_vec(&meta).map_err(io::Error::from)?;
        let files = parts.iter().filter(|(name, _)| EXTENSIONS.contains(&name.as_str()));
        let files = files.map(|(name, octets)| (PathBuf::from(format!("{id}.{name}")), octets.clone())).collect();
        Ok(Self { files: Arc::new(files), meta: Arc::new(meta) })
    }
}

impl Directory for BundleDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        match self.files.get(path) {
            Some(octets) => Ok(Arc::new(octets.clone())),
            None => Err(OpenReadError::FileDoesNotExist(path.to_owned())),
        }
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::FileDoesNotExist(path.to_owned()))
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(path == Path::new("meta.json") || self.files.contains_key(path))
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::FileAlreadyExists(path.to_owned()))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        if path == Path::new("meta.json") {
            return Ok(self.meta.as_ref().clone());
        }
        Err(OpenReadError::FileDoesNotExist(path.to_owned()))
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn acquire_lock(&self, _lock: &Lock) -> Result<DirectoryLock, LockError> {
        // Nothing here changes, so readers need no lock against writers.
        Ok(DirectoryLock::from(Box::new(())))
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}
