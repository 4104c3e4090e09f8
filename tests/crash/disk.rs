//! A disk after a power cut: what of a journal is on it.
//!
//! Strictly, a file has the octets that it had at its last fsync, and a folder the names that it had at its own;
//! nothing else. A real disk may have more: whatever was written at some time may be there, in parts.

use super::{
    dice::Dice,
    journal::{Event, Journal},
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    ops::Range,
    path::Path,
};

/// What survives of that which no fsync covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing.
    Nothing,
    /// As a journalling file system leaves it: the names up to some moment, each file up to some length, the last
    /// page torn.
    Ordered(u64),
    /// As nothing but the standard allows it: any pages, any names that do not depend on a lost one.
    Scattered(u64),
    /// All of it: the process ended and the machine did not.
    Everything,
}

/// A disk while a journal is read.
pub struct Disk<'a> {
    journal: &'a Journal,
    /// Events that have happened.
    done: usize,
    files: HashMap<u32, File>,
    /// Names that are durable.
    folders: HashMap<u32, Names>,
    /// Changes of names that no fsync of their folder covers, in order.
    pending: Vec<NameChange>,
}

type Names = BTreeMap<String, u32>;

#[derive(Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(u64, Range<usize>),
    Resize(u64),
    Grow(u64),
    Zero(u64, u64),
}

#[derive(Clone)]
enum NameChange {
    Add(u32, String, u32),
    Rename((u32, String), (u32, String)),
    Remove(u32, String),
}

impl<'a> Disk<'a> {
    /// The disk before the process began.
    pub fn new(journal: &'a Journal) -> Self {
        Self { journal, done: 0, files: HashMap::new(), folders: HashMap::new(), pending: Vec::new() }
    }

    /// Lets the events up to this one happen.
    pub fn advance(&mut self, events: usize) {
        let journal = self.journal;
        for event in &journal.events[self.done..events] {
            self.happen(event);
        }
        self.done = events;
    }

    fn happen(&mut self, event: &Event) {
        match event.clone() {
            Event::BaseFolder { id, parent, name } => {
                self.folders.insert(id, Names::new());
                self.name_durably(parent, name, id);
            }
            Event::BaseFile { id, parent, name, octets } => {
                let durable = self.journal.octets(&octets).to_vec();
                self.files.insert(id, File { durable, pending: Vec::new() });
                self.name_durably(parent, name, id);
            }
            Event::Create { id, parent, name } => {
                self.files.insert(id, File::default());
                self.pending.push(NameChange::Add(parent, name, id));
            }
            Event::MakeFolder { id, parent, name } => {
                self.folders.insert(id, Names::new());
                self.pending.push(NameChange::Add(parent, name, id));
            }
            Event::Write { id, offset, octets } => self.change(id, Change::Write(offset, octets)),
            Event::Resize { id, length } => self.change(id, Change::Resize(length)),
            Event::Grow { id, length } => self.change(id, Change::Grow(length)),
            Event::Zero { id, offset, length } => self.change(id, Change::Zero(offset, length)),
            Event::Rename { from, to } => self.pending.push(NameChange::Rename(from, to)),
            Event::Link { id, parent, name } => self.pending.push(NameChange::Add(parent, name, id)),
            Event::Unlink { parent, name } => self.pending.push(NameChange::Remove(parent, name)),
            Event::Sync { id } => self.sync(id),
            // The pages count as clean from then on; what was to be written never is.
            Event::SyncFailed { id } => self.files.entry(id).or_default().pending.clear(),
            Event::SyncAll => {
                let all: Vec<u32> = self.files.keys().chain(self.folders.keys()).copied().collect();
                all.into_iter().for_each(|id| self.sync(id));
            }
            Event::Begun | Event::Told(_) => {}
        }
    }

    fn name_durably(&mut self, parent: u32, name: String, id: u32) {
        if let Some(names) = self.folders.get_mut(&parent) {
            names.insert(name, id);
        }
    }

    fn change(&mut self, id: u32, change: Change) {
        self.files.entry(id).or_default().pending.push(change);
    }

    fn sync(&mut self, id: u32) {
        if let Some(file) = self.files.get_mut(&id) {
            let pending = std::mem::take(&mut file.pending);
            pending.iter().for_each(|change| apply(&mut file.durable, change, self.journal));
        }
        if self.folders.contains_key(&id) {
            let (now, later): (Vec<_>, Vec<_>) =
                std::mem::take(&mut self.pending).into_iter().partition(|change| change.is_in(id));
            now.iter().for_each(|change| change.apply(&mut self.folders));
            self.pending = later;
        }
    }

    /// How much of the disk is not durable: files with octets that are not, and names.
    pub fn pending(&self) -> usize {
        self.files.values().filter(|file| !file.pending.is_empty()).count() + self.pending.len()
    }

    /// Writes the folder as it is after a power cut at this moment.
    pub fn cut(&self, survival: Survival, folder: &Path) {
        let mut folders = self.folders.clone();
        let mut dice = match survival {
            Survival::Ordered(seed) | Survival::Scattered(seed) => Dice::new(seed),
            Survival::Nothing | Survival::Everything => Dice::new(0),
        };
        let names = match survival {
            Survival::Nothing => Vec::new(),
            Survival::Ordered(_) => self.pending[..dice.up_to(self.pending.len())].to_vec(),
            Survival::Scattered(_) => independent(&self.pending, &mut dice),
            Survival::Everything => self.pending.clone(),
        };
        names.iter().for_each(|change| change.apply(&mut folders));
        let root = match self.journal.events.first() {
            Some(Event::BaseFolder { id, .. }) => *id,
            _ => panic!("a journal begins with the watched folder"),
        };
        self.write(root, &folders, survival, &mut dice, folder);
    }

    fn write(&self, id: u32, folders: &HashMap<u32, Names>, survival: Survival, dice: &mut Dice, path: &Path) {
        fs::create_dir_all(path).unwrap();
        for (name, id) in &folders[&id] {
            let path = path.join(name);
            if folders.contains_key(id) {
                self.write(*id, folders, survival, dice, &path);
            } else {
                fs::write(path, self.content(*id, survival, dice)).unwrap();
            }
        }
    }

    fn content(&self, id: u32, survival: Survival, dice: &mut Dice) -> Vec<u8> {
        let file = &self.files[&id];
        let mut octets = file.durable.clone();
        let surviving = match survival {
            Survival::Nothing => Vec::new(),
            Survival::Everything => file.pending.clone(),
            Survival::Ordered(_) => torn(&file.pending, dice),
            Survival::Scattered(_) => scattered(&file.pending, dice),
        };
        surviving.iter().for_each(|change| apply(&mut octets, change, self.journal));
        octets
    }
}

fn apply(octets: &mut Vec<u8>, change: &Change, journal: &Journal) {
    let grow = |octets: &mut Vec<u8>, length: u64| octets.resize(octets.len().max(length as usize), 0);
    match change {
        Change::Write(offset, range) => {
            grow(octets, offset + range.len() as u64);
            octets[*offset as usize..][..range.len()].copy_from_slice(journal.octets(range));
        }
        Change::Resize(length) => octets.resize(*length as usize, 0),
        Change::Grow(length) => grow(octets, *length),
        Change::Zero(offset, length) => {
            let end = (offset + length).min(octets.len() as u64);
            if let Some(zeroed) = octets.get_mut(*offset as usize..end as usize) {
                zeroed.fill(0);
            }
        }
    }
}

/// The first changes, and of the next one the first pages or sectors.
fn torn(pending: &[Change], dice: &mut Dice) -> Vec<Change> {
    let whole = dice.up_to(pending.len());
    let mut surviving = pending[..whole].to_vec();
    if let Some(Change::Write(offset, range)) = pending.get(whole) {
        let pages = pages(*offset, range, page_octets(dice));
        let kept = dice.up_to(pages.len());
        surviving.extend(pages[..kept].iter().cloned());
    }
    surviving
}

/// Any pages or sectors of any change.
fn scattered(pending: &[Change], dice: &mut Dice) -> Vec<Change> {
    let (page, chance) = (page_octets(dice), dice.up_to(4));
    let pieces = pending.iter().flat_map(|change| match change {
        Change::Write(offset, range) => pages(*offset, range, page),
        other => vec![other.clone()],
    });
    let pieces: Vec<Change> = pieces.collect();
    pieces.into_iter().filter(|_| dice.up_to(4) <= chance).collect()
}

/// Disks write sectors, file systems pages.
fn page_octets(dice: &mut Dice) -> u64 {
    [512, 4096][dice.up_to(1)]
}

/// A write cut where pages begin.
fn pages(offset: u64, range: &Range<usize>, page: u64) -> Vec<Change> {
    let (mut pieces, mut at, end) = (Vec::new(), offset, offset + range.len() as u64);
    while at < end {
        let next = ((at / page + 1) * page).min(end);
        let start = range.start + (at - offset) as usize;
        pieces.push(Change::Write(at, start..start + (next - at) as usize));
        at = next;
    }
    pieces
}

/// Any changes of names, without those that touch a name or a file of one that is lost.
fn independent(pending: &[NameChange], dice: &mut Dice) -> Vec<NameChange> {
    let (mut lost, chance) = (HashSet::new(), dice.up_to(4));
    let survives = |change: &&NameChange| {
        let keeps = dice.up_to(4) <= chance && change.touches().iter().all(|name| !lost.contains(name));
        if !keeps {
            lost.extend(change.touches());
        }
        keeps
    };
    pending.iter().filter(survives).cloned().collect()
}

impl NameChange {
    fn is_in(&self, folder: u32) -> bool {
        self.touches().iter().any(|(parent, _)| *parent == folder)
    }

    fn touches(&self) -> Vec<(u32, String)> {
        match self {
            Self::Add(parent, name, _) | Self::Remove(parent, name) => vec![(*parent, name.clone())],
            Self::Rename(from, to) => vec![from.clone(), to.clone()],
        }
    }

    fn apply(&self, folders: &mut HashMap<u32, Names>) {
        match self {
            Self::Add(parent, name, id) => drop(folders.entry(*parent).or_default().insert(name.clone(), *id)),
            Self::Remove(parent, name) => drop(folders.entry(*parent).or_default().remove(name)),
            Self::Rename((from, old), (to, new)) => {
                if let Some(id) = folders.entry(*from).or_default().remove(old) {
                    folders.entry(*to).or_default().insert(new.clone(), id);
                }
            }
        }
    }
}

/// Every file below a folder with its octets, every folder without.
pub fn tree(folder: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            let octets = if path.is_dir() { None } else { Some(fs::read(&path).unwrap()) };
            found.insert(name, octets);
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}
