//! Reads mail corpora: `*.tar.zst` archives (window log 27) and plain files, one file at a time.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

const BLOCK: usize = 512;

/// The folder of mail corpora: `POSTERN_CORPORA`, or `shared/corpora` beside the checkout. Prints why
/// the test is skipped where there is none.
pub fn corpora() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let folder = std::env::var_os("POSTERN_CORPORA").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no mail corpora at {} (set POSTERN_CORPORA)", folder.display());
    None
}

/// One file of a corpus.
pub struct Entry {
    /// Its path, within the archive or under the folder that was walked.
    pub path: String,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// Every file under `folder`, in order of path: archives opened, other files as they are. `SOURCE.txt` is left out.
pub fn walk(folder: &Path) -> impl Iterator<Item = Entry> + use<> {
    let root = folder.to_owned();
    let mut paths = Vec::new();
    collect(folder, &mut paths);
    paths.sort();
    paths.into_iter().flat_map(move |path| -> Box<dyn Iterator<Item = Entry>> {
        if path.to_string_lossy().ends_with(".tar.zst") {
            return Box::new(open(&path));
        }
        let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        Box::new(fs::read(&path).ok().map(|octets| Entry { path: name, octets }).into_iter())
    })
}

/// The files of one `*.tar.zst`, in the archive's order.
pub fn open(path: &Path) -> Archive {
    let mut reader = zstd::stream::read::Decoder::new(File::open(path).unwrap()).unwrap();
    reader.window_log_max(27).unwrap();
    Archive { reader: BufReader::with_capacity(1 << 20, reader) }
}

/// An archive that is being read; yields its regular files.
pub struct Archive {
    reader: BufReader<zstd::stream::read::Decoder<'static, BufReader<File>>>,
}

impl Iterator for Archive {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        // A long name comes as an entry of its own before the file: GNU `L` or a pax `x` record.
        let mut long_name = None;
        loop {
            let mut header = [0; BLOCK];
            self.reader.read_exact(&mut header).ok()?;
            if header.iter().all(|octet| *octet == 0) {
                return None;
            }
            let octets = self.body(number(&header[124..136]));
            match header[156] {
                b'L' => long_name = Some(text(&octets)),
                b'x' => long_name = pax_path(&octets).or(long_name),
                b'0' | 0 => return Some(Entry { path: long_name.unwrap_or_else(|| name(&header)), octets }),
                _ => {}
            }
        }
    }
}

impl Archive {
    fn body(&mut self, length: usize) -> Vec<u8> {
        let mut octets = vec![0; length.next_multiple_of(BLOCK)];
        self.reader.read_exact(&mut octets).expect("the archive is whole");
        octets.truncate(length);
        octets
    }
}

/// Octal text, or big-endian binary where the first bit is set (GNU, files over 8 GiB).
fn number(field: &[u8]) -> usize {
    if field[0] & 0x80 != 0 {
        return field[1..].iter().fold(0, |value, octet| value << 8 | usize::from(*octet));
    }
    usize::from_str_radix(text(field).trim(), 8).unwrap_or(0)
}

fn name(header: &[u8; BLOCK]) -> String {
    let name = text(&header[..100]);
    let prefix = if &header[257..263] == b"ustar\0" { text(&header[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

/// The `path` of a pax header: records of `length key=value\n`.
fn pax_path(octets: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(octets);
    text.lines().find_map(|record| Some(record.split_once(' ')?.1.strip_prefix("path=")?.to_owned()))
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field.split(|octet| *octet == 0).next().unwrap()).into_owned()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let mut folders = VecDeque::from([folder.to_owned()]);
    while let Some(folder) = folders.pop_front() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push_back(path);
            } else if path.file_name().is_some_and(|name| name != "SOURCE.txt") {
                paths.push(path);
            }
        }
    }
}
