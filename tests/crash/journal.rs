//! The journal that the shim (`tests/shim/power_loss.c`) writes: what a process did to a folder, in order.

use std::{ops::Range, path::Path};

/// One change, or one sync. Files and folders are named by ids; the first one is the watched folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What was there before the process began; all of it is durable.
    BaseFolder {
        id: u32,
        parent: u32,
        name: String,
    },
    BaseFile {
        id: u32,
        parent: u32,
        name: String,
        octets: Range<usize>,
    },
    Create {
        id: u32,
        parent: u32,
        name: String,
    },
    MakeFolder {
        id: u32,
        parent: u32,
        name: String,
    },
    Write {
        id: u32,
        offset: u64,
        octets: Range<usize>,
    },
    Resize {
        id: u32,
        length: u64,
    },
    Grow {
        id: u32,
        length: u64,
    },
    Zero {
        id: u32,
        offset: u64,
        length: u64,
    },
    Rename {
        from: (u32, String),
        to: (u32, String),
    },
    Link {
        id: u32,
        parent: u32,
        name: String,
    },
    Unlink {
        parent: u32,
        name: String,
    },
    Sync {
        id: u32,
    },
    SyncFailed {
        id: u32,
    },
    SyncAll,
    /// The folder as it was is complete; what follows is the process's doing.
    Begun,
    Told(String),
}

/// Everything that a process did.
pub struct Journal {
    octets: Vec<u8>,
    pub events: Vec<Event>,
}

impl Journal {
    /// Reads a journal. A last entry that is cut short never happened.
    pub fn read(path: &Path) -> Self {
        // A process that was killed at once has none.
        let octets = std::fs::read(path).unwrap_or_default();
        let (mut events, mut at) = (Vec::new(), 0);
        while let Some((event, next)) = read_event(&octets, at) {
            events.push(event);
            at = next;
        }
        Self { octets, events }
    }

    /// The octets of a write.
    pub fn octets(&self, range: &Range<usize>) -> &[u8] {
        &self.octets[range.clone()]
    }

    /// The number of events that only say how the folder was; `None` where the process ended before it began.
    pub fn begun(&self) -> Option<usize> {
        self.events.iter().position(|event| *event == Event::Begun)
    }

    /// What the process had told its caller before this event.
    pub fn told_before(&self, event: usize) -> Vec<String> {
        let told: String = self.events[..event]
            .iter()
            .filter_map(|event| if let Event::Told(text) = event { Some(text.as_str()) } else { None })
            .collect();
        super::victim::lines_told(&told)
    }
}

/// Octets of an entry's head: four numbers of four octets, three of eight.
const HEAD: usize = 40;

fn read_event(octets: &[u8], at: usize) -> Option<(Event, usize)> {
    let head = octets.get(at..at + HEAD)?;
    let short = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
    let long = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
    let (kind, id, parent) = (short(0), short(4), short(8));
    let (offset, other) = (long(16), long(24));
    let name_end = at + HEAD + short(12) as usize;
    let end = name_end + long(32) as usize;
    let text = |range: Range<usize>| Some(String::from_utf8_lossy(octets.get(range)?).into_owned());
    let name = text(at + HEAD..name_end)?;
    octets.get(name_end..end)?;
    let event = match kind {
        1 => Event::BaseFolder { id, parent, name },
        2 => Event::BaseFile { id, parent, name, octets: name_end..end },
        3 => Event::Create { id, parent, name },
        4 => Event::MakeFolder { id, parent, name },
        5 => Event::Write { id, offset, octets: name_end..end },
        6 => Event::Resize { id, length: offset },
        7 => Event::Grow { id, length: offset },
        8 => Event::Zero { id, offset, length: other },
        9 => Event::Rename { from: (parent, name), to: (other as u32, text(name_end..end)?) },
        10 => Event::Link { id, parent, name },
        11 => Event::Unlink { parent, name },
        12 => Event::Sync { id },
        13 => Event::SyncFailed { id },
        14 => Event::SyncAll,
        15 => Event::Told(text(name_end..end)?),
        16 => Event::Begun,
        17 => panic!("the process did what the shim cannot follow: {name}"),
        _ => panic!("no such kind of entry: {kind}"),
    };
    Some((event, end))
}
