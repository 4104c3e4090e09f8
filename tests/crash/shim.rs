//! The shim itself: made, loaded into processes that write, and shown to see what is durable.

use super::{
    disk::{Disk, Survival, tree},
    victim::{self, Faults, Start, Victim, tell, victim},
};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const SOURCE: &str = include_str!("../shim/power_loss.c");

/// The compiled shim, kept by its content.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let name = blake3::hash(SOURCE.as_bytes()).to_hex();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let library = folder.join(format!("power_loss-{}.so", &name[..16]));
        if !library.exists() {
            compile(folder, &library);
        }
        library
    })
}

fn compile(folder: &Path, library: &Path) {
    let unfinished = tempfile::Builder::new().suffix(".so").tempfile_in(folder).unwrap().into_temp_path();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shim/power_loss.c");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let arguments = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"];
    let compiled = Command::new(&compiler).args(arguments).arg(&unfinished).arg(source).output();
    let compiled = compiled.unwrap_or_else(|error| panic!("the crash tests need a C compiler, {compiler}: {error}"));
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    unfinished.persist(library).unwrap();
}

/// What a small victim does to its folder.
type Deed = fn(&Path);

/// Each with a folder of its own.
const DEEDS: &[(&str, Deed)] = &[
    ("nothing synced", |folder| drop(write(folder))),
    ("file synced", |folder| write(folder).sync_all().unwrap()),
    ("folder synced", |folder| {
        write(folder);
        sync(folder);
    }),
    ("both synced", |folder| {
        write(folder).sync_data().unwrap();
        sync(folder);
    }),
    ("written after", |folder| {
        let mut file = write(folder);
        file.sync_all().unwrap();
        sync(folder);
        file.write_all(b" more").unwrap();
        file.write_all_at(b"E", 0).unwrap();
    }),
    ("renamed", |folder| {
        write(folder).sync_all().unwrap();
        sync(folder);
        fs::rename(folder.join("file"), folder.join("new")).unwrap();
    }),
    ("renamed and synced", |folder| {
        write(folder).sync_all().unwrap();
        fs::rename(folder.join("file"), folder.join("new")).unwrap();
        sync(folder);
    }),
    ("removed", |folder| {
        write(folder).sync_all().unwrap();
        sync(folder);
        fs::remove_file(folder.join("file")).unwrap();
    }),
    ("removed and synced", |folder| {
        write(folder).sync_all().unwrap();
        sync(folder);
        fs::remove_file(folder.join("file")).unwrap();
        sync(folder);
    }),
    ("linked", |folder| {
        write(folder).sync_all().unwrap();
        fs::hard_link(folder.join("file"), folder.join("second")).unwrap();
        sync(folder);
    }),
    ("cut and stretched", |folder| {
        let file = write(folder);
        file.set_len(2).unwrap();
        file.set_len(4).unwrap();
        file.sync_all().unwrap();
        sync(folder);
        file.set_len(0).unwrap();
    }),
    ("appended and copied", |folder| {
        write(folder).sync_all().unwrap();
        let mut file = OpenOptions::new().append(true).open(folder.join("file")).unwrap();
        file.write_all(b", twice").unwrap();
        file.sync_all().unwrap();
        fs::copy(folder.join("file"), folder.join("copy")).unwrap();
        File::open(folder.join("copy")).unwrap().sync_all().unwrap();
        sync(folder);
    }),
    ("in a folder that is lost", |folder| {
        fs::create_dir(folder.join("inner")).unwrap();
        write(&folder.join("inner")).sync_all().unwrap();
        sync(&folder.join("inner"));
    }),
    ("in a folder that is kept", |folder| {
        fs::create_dir(folder.join("inner")).unwrap();
        write(&folder.join("inner")).sync_all().unwrap();
        sync(&folder.join("inner"));
        sync(folder);
    }),
    ("rewritten", |folder| {
        write(folder).sync_all().unwrap();
        sync(folder);
        let mut file = File::create(folder.join("file")).unwrap();
        file.write_all(b"else").unwrap();
        file.seek(SeekFrom::Start(6)).unwrap();
        file.write_all(b"!").unwrap();
        file.sync_all().unwrap();
    }),
];

/// What is left of each, by the rules.
const LEFT: &[(&str, &[(&str, &str)])] = &[
    ("nothing synced", &[]),
    ("file synced", &[]),
    ("folder synced", &[("file", "")]),
    ("both synced", &[("file", "octets")]),
    ("written after", &[("file", "octets")]),
    ("renamed", &[("file", "octets")]),
    ("renamed and synced", &[("new", "octets")]),
    ("removed", &[("file", "octets")]),
    ("removed and synced", &[]),
    ("linked", &[("file", "octets"), ("second", "octets")]),
    ("cut and stretched", &[("file", "oc\0\0")]),
    ("appended and copied", &[("copy", "octets, twice"), ("file", "octets, twice")]),
    ("in a folder that is lost", &[]),
    ("in a folder that is kept", &[("inner", "/"), ("inner/file", "octets")]),
    ("rewritten", &[("file", "else\0\0!")]),
];

fn write(folder: &Path) -> File {
    let mut file = File::create(folder.join("file")).unwrap();
    file.write_all(b"octets").unwrap();
    file
}

fn sync(folder: &Path) {
    File::open(folder).unwrap().sync_all().unwrap();
}

#[test]
#[ignore = "is started by the other tests"]
fn writer_until_the_end() {
    let Some((folder, deed)) = victim() else { return };
    let (_, deed) = DEEDS[deed as usize];
    deed(&folder);
    tell("done");
}

/// A folder as the tables above have it.
fn listed(folder: &Path) -> BTreeMap<String, String> {
    let text = |octets: Option<Vec<u8>>| octets.map_or("/".to_owned(), |octets| String::from_utf8(octets).unwrap());
    tree(folder).into_iter().map(|(name, octets)| (name, text(octets))).collect()
}

#[test]
fn only_what_was_synced_outlives_a_power_cut() {
    assert_eq!(DEEDS.len(), LEFT.len());
    for (number, (name, left)) in LEFT.iter().enumerate() {
        let folder = victim::folder();
        let start = Start::new("crash::shim::writer_until_the_end", folder.path(), number as u64).watched();
        let (told, journal) = Victim::start(&start).rest_with_journal();
        assert_eq!((DEEDS[number].0, told.as_slice()), (*name, &["done".to_owned()][..]));
        let mut disk = Disk::new(&journal);
        disk.advance(journal.events.len());
        let image = victim::folder();
        disk.cut(Survival::Nothing, image.path());
        let left = left.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(listed(image.path()), left, "{name}");
        // The journal misses nothing: with everything kept it gives the folder that is really there.
        let whole = victim::folder();
        disk.cut(Survival::Everything, whole.path());
        assert!(tree(whole.path()) == tree(folder.path()), "{name}");
    }
}

#[test]
fn a_cut_in_the_middle_has_what_was_told_by_then() {
    let folder = victim::folder();
    let start = Start::new("crash::shim::writer_until_the_end", folder.path(), 3).watched();
    let (_, journal) = Victim::start(&start).rest_with_journal();
    let told = |events: usize| journal.told_before(events);
    let before = (0..=journal.events.len()).filter(|events| told(*events).is_empty()).max().unwrap();
    let mut disk = Disk::new(&journal);
    disk.advance(before);
    assert_eq!(disk.pending(), 0, "both syncs come before the telling");
    assert_eq!(told(journal.events.len()), ["done"]);
}

/// Writes two megabytes of which it syncs the first.
#[test]
#[ignore = "is started by the other tests"]
fn large_writer_until_the_end() {
    let Some((folder, _)) = victim() else { return };
    let mut file = File::create(folder.join("file")).unwrap();
    sync(&folder);
    for number in 0..200_u8 {
        if let Err(error) = file.write_all(&[number + 1; 10_000]).and_then(|()| file.sync_data()) {
            tell(&format!("{number} {:?}", error.kind()));
            // Once more, as an administrator who frees space would find it.
            File::create(std::env::var_os("POSTERN_SHIM_FREED").unwrap_or_default()).ok();
        }
        if number == 99 {
            tell("half");
        }
    }
}

#[test]
fn what_survives_follows_from_the_seed_and_keeps_what_is_durable() {
    let folder = victim::folder();
    let start = Start::new("crash::shim::large_writer_until_the_end", folder.path(), 0).watched();
    let (_, journal) = Victim::start(&start).rest_with_journal();
    // Between the write and its sync.
    let last_write = journal.events.iter().rposition(|event| matches!(event, super::journal::Event::Write { .. }));
    let mut disk = Disk::new(&journal);
    disk.advance(last_write.unwrap() + 1);
    let mut kinds = std::collections::HashSet::new();
    for seed in 0..40 {
        for survival in [Survival::Ordered(seed), Survival::Scattered(seed)] {
            let images = [victim::folder(), victim::folder()];
            images.iter().for_each(|image| disk.cut(survival, image.path()));
            let octets = fs::read(images[0].path().join("file")).unwrap();
            assert_eq!(octets, fs::read(images[1].path().join("file")).unwrap(), "{survival:?}");
            assert!(
                octets[..1_990_000].chunks(10_000).enumerate().all(|(at, octets)| octets == [at as u8 + 1; 10_000])
            );
            let last = &octets[1_990_000..];
            assert!(last.iter().all(|octet| [0, 200].contains(octet)));
            let holes = last.windows(2).filter(|pair| pair[0] != pair[1]).count();
            kinds.insert((last.len() == 10_000, last.is_empty(), holes > 0));
        }
    }
    assert!(kinds.len() >= 4, "all, nothing, a part, holes: {kinds:?}");
}

#[test]
fn the_shim_tells_that_the_disk_is_full_until_space_is_freed() {
    let folder = victim::folder();
    let faults = Faults { full_after: Some(55_000), ..Faults::default() };
    let start = Start::new("crash::shim::large_writer_until_the_end", folder.path(), 0).with(faults);
    let (told, _) = Victim::start(&start).rest_with_journal();
    assert_eq!(told, ["5 StorageFull", "half"]);
    assert_eq!(fs::metadata(folder.path().join("file")).unwrap().len(), 1_995_000, "half of the sixth was written");
}

#[test]
fn what_a_failed_sync_was_to_write_is_never_written() {
    let folder = victim::folder();
    let faults = Faults { sync_fails: Some(3), ..Faults::default() };
    let start = Start::new("crash::shim::large_writer_until_the_end", folder.path(), 0).with(faults);
    let (told, journal) = Victim::start(&start).rest_with_journal();
    assert_eq!(told.len(), 2, "{told:?}");
    let mut disk = Disk::new(&journal);
    disk.advance(journal.events.len());
    let image = victim::folder();
    disk.cut(Survival::Nothing, image.path());
    let octets = fs::read(image.path().join("file")).unwrap();
    assert!(octets[20_000..30_000].iter().all(|octet| *octet == 0));
    assert!(octets[30_000..40_000].iter().all(|octet| *octet == 4));
}
