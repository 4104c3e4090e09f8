//! RocksDB's write-ahead log, read for one question: does damage in it come from a power cut?
//!
//! Octets that no fsync covers may reach the disk in any order, so a cut can leave a hole in front of whole records.
//! RocksDB takes that for damage and does not open. What tells the two apart: a synced commit ends when it and all
//! before it are on stable storage, and the next begins after that. So from a hole on that a power cut left there is at
//! most one synced commit, the one that was under way, with the hole in it or behind it; with two of them, the damaged
//! part was durable once, and somebody was told so.
//!
//! The records of synced commits begin with [`SYNCED`]. A damaged log is never written. Where the head of a record is
//! damaged, the marks behind it in the block count.

use memchr::memmem;
use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

/// What the batch of a synced commit begins with: an entry of the log that no table sees.
pub(super) const SYNCED: &[u8] = b"postern synced";

/// Octets of a block; no fragment of a record crosses its end.
const BLOCK: usize = 32 * 1024;
/// Octets of a fragment's head: checksum, length, type.
const HEAD: usize = 7;
/// Octets before a batch's first entry: sequence number and count.
const BATCH_HEAD: usize = 12;
/// The mark as the log has it: tag of an entry that only the log has, length, octets.
const MARK: &[u8] = b"\x03\x0epostern synced";

/// Whether the logs in `folder` are damaged, and only where no synced commit can have been durable.
pub(super) fn is_torn_by_power_cut(folder: &Path) -> io::Result<bool> {
    let mut logs: Vec<PathBuf> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    // Their numbers have leading zeros.
    logs.sort();
    let mut scan = Scan::default();
    for log in logs {
        let mut file = fs::File::open(log)?;
        let mut block = Vec::with_capacity(BLOCK);
        while file.by_ref().take(BLOCK as u64).read_to_end(&mut block)? > 0 {
            scan.block(&block);
            block.clear();
        }
        // A record that goes on behind the end of its file was cut there.
        scan.record = Record::None;
    }
    Ok(scan.is_damaged && scan.synced <= 1)
}

#[derive(Default)]
struct Scan {
    is_damaged: bool,
    /// Records of synced commits from the first damage on, a damaged one included.
    synced: usize,
    record: Record,
}

/// The record that a fragment may belong to.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Record {
    /// None, or one whose begin is damaged.
    #[default]
    None,
    Plain,
    Synced,
}

impl Scan {
    fn block(&mut self, block: &[u8]) {
        let mut rest = block;
        while rest.len() > HEAD {
            let Some(fragment) = Fragment::read(rest) else {
                // A head of zeros, or a length that cannot be: where the next record begins is not known.
                self.damage(memmem::find_iter(rest, MARK).count());
                return;
            };
            if fragment.is_whole {
                self.fragment(&fragment)
            } else {
                self.damage(fragment.is_synced().into());
            }
            rest = rest.get(HEAD + fragment.payload.len()..).unwrap_or_default();
        }
    }

    /// Takes note of damage that so many marks are seen in.
    fn damage(&mut self, marks: usize) {
        self.is_damaged = true;
        self.synced += marks + usize::from(self.record == Record::Synced);
        self.record = Record::None;
    }

    fn fragment(&mut self, fragment: &Fragment<'_>) {
        let begun = if fragment.is_synced() { Record::Synced } else { Record::Plain };
        match fragment.part {
            Part::Full => {
                self.synced += usize::from(self.is_damaged && begun == Record::Synced);
                self.record = Record::None;
            }
            Part::First => self.record = begun,
            Part::Middle => {}
            Part::Last => {
                self.synced += usize::from(self.is_damaged && self.record == Record::Synced);
                self.record = Record::None;
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Part {
    Full,
    First,
    Middle,
    Last,
}

struct Fragment<'a> {
    part: Part,
    payload: &'a [u8],
    is_whole: bool,
}

impl<'a> Fragment<'a> {
    /// The fragment that a block goes on with. `None` where its head cannot be right.
    fn read(block: &'a [u8]) -> Option<Self> {
        let (stored, rest) = block.split_first_chunk::<4>()?;
        let (length, typed) = rest.split_first_chunk::<2>()?;
        let part = match typed.first()? {
            1 => Part::Full,
            2 => Part::First,
            3 => Part::Middle,
            4 => Part::Last,
            _ => return None,
        };
        let covered = typed.get(..1 + usize::from(u16::from_le_bytes(*length)))?;
        let is_whole = masked(crc32c(covered)) == u32::from_le_bytes(*stored);
        Some(Self { part, payload: covered.get(1..)?, is_whole })
    }

    fn is_synced(&self) -> bool {
        self.payload.get(BATCH_HEAD..).is_some_and(|entries| entries.starts_with(MARK))
    }
}

/// CRC-32C, bit by bit: a log is read only where it is damaged.
fn crc32c(octets: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !octets.iter().fold(!0, |crc, octet| (0..8).fold(crc ^ u32::from(*octet), step))
}

/// As RocksDB stores it: a checksum of octets that hold checksums is weak.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        StoreError,
        metadata::{Batch, Domain, Durability, Engine, MetadataAt, Table},
    };

    const VALUE: usize = 9000;

    fn open(folder: &Path) -> Result<Engine, StoreError> {
        Engine::open(&MetadataAt::Folder, folder, 1 << 20)
    }

    /// Commits so many values, a block's third each, all synced but those in `buffered`; returns the log's octets.
    fn filled(folder: &Path, commits: u8, buffered: &[u8]) -> (PathBuf, Vec<u8>) {
        let engine = open(folder).unwrap();
        for number in 0..commits {
            let durability = if buffered.contains(&number) { Durability::Buffered } else { Durability::Synced };
            let mut batch = Batch::of(Domain::Installation);
            batch.put(Table::System, [number], [number; VALUE]);
            engine.commit(batch, durability).unwrap();
        }
        drop(engine);
        let logs = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        let log = logs.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
        let octets = fs::read(&log).unwrap();
        (log, octets)
    }

    fn values(engine: &Engine) -> usize {
        let mut count = 0;
        let visit = |_: &[u8], _: &[u8]| {
            count += 1;
            true
        };
        engine.scan_prefix(Table::System, b"", visit).unwrap();
        count
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_hole_that_nothing_durable_has_been_behind_is_a_power_cut_and_any_other_is_damage() {
        for (lost, buffered, kept) in [
            (9, &[][..], Some(9)),
            (9, &[8, 9], Some(9)),
            (8, &[8], Some(8)),
            (7, &[7, 8], Some(7)),
            (8, &[], None),
            (7, &[7], None),
            (7, &[9], None),
            (1, &[], None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let (log, mut octets) = filled(folder.path(), 10, buffered);
            let at = octets.windows(64).position(|window| window == [lost; 64]).unwrap() + 1000;
            octets[at..at + 512].fill(0);
            fs::write(log, octets).unwrap();
            match kept {
                Some(kept) => assert_eq!(values(&open(folder.path()).unwrap()), kept, "{lost} {buffered:?}"),
                None => assert!(matches!(open(folder.path()), Err(StoreError::Damaged(_))), "{lost} {buffered:?}"),
            }
        }
    }

    #[test]
    fn a_log_without_damage_is_not_torn() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 3, &[]);
        assert!(!is_torn_by_power_cut(folder.path()).unwrap());
    }

    #[test]
    fn a_database_whose_current_file_is_gone_is_not_begun_again() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 3, &[]);
        fs::remove_file(folder.path().join("CURRENT")).unwrap();
        assert!(matches!(open(folder.path()), Err(StoreError::Damaged(_))));
    }
}
