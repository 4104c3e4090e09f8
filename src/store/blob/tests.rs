//! Contents from delivery to pack and back.

#[path = "../../../tests/support/archive.rs"]
#[allow(dead_code, unreachable_pub)]
mod archive;

use super::{
    super::metadata::{Batch, Domain, Durability, Engine, MetadataAt, Table},
    *,
};
use crate::{limits::GENERATION_SECONDS, message::analyse};
use rows::{FRAME, SETTLED, STAGED};
use std::{fs, path::Path};

/// A store of contents in a folder of its own.
struct Contents {
    folder: tempfile::TempDir,
    engine: Engine,
    blobs: Blobs,
    clock: Clock,
    delivered: u32,
}

/// 2026-01-01T00:00:00Z.
const START: UnixMillis = UnixMillis(1_767_225_600_000);

fn open(folder: &Path, clock: &Clock) -> (Engine, Blobs) {
    open_with(folder, clock, Keeping { generation_seconds: GENERATION_SECONDS, grace_hours: 24 })
}

fn open_with(folder: &Path, clock: &Clock, keeping: Keeping) -> (Engine, Blobs) {
    let engine = Engine::open(&MetadataAt::Folder, &folder.join("metadata"), 8 << 20).unwrap();
    let objects = Objects::open(&ObjectsAt::Folder, folder).unwrap();
    let blobs = Blobs::open(objects, engine.clone(), &Secret([7; 32]), clock.clone(), keeping).unwrap();
    (engine, blobs)
}

fn owner(number: u32, mailbox: u64) -> Owner {
    Owner {
        account: AccountId::new(1 + u64::from(number % 3)).unwrap(),
        number: MessageNumber::new(number).unwrap(),
        mailbox: MailboxId::new(mailbox).unwrap(),
        internal_date: UnixMillis(START.0 + i64::from(number)),
        tag: Bytes::from(format!("trace of {number}")),
    }
}

impl Contents {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(START, 1);
        let (engine, blobs) = open(folder.path(), &clock);
        Self { folder, engine, blobs, clock, delivered: 0 }
    }

    async fn deliver(&mut self, raw: &[u8]) -> Manifest {
        self.delivered += 1;
        self.deliver_to(raw, &[owner(self.delivered, 1)]).await
    }

    async fn deliver_to(&self, raw: &[u8], owners: &[Owner]) -> Manifest {
        let raw = Bytes::copy_from_slice(raw);
        let split = self.blobs.split(&raw, &analyse(&raw).root);
        self.blobs.stage_large(&split).await.unwrap();
        let mut batch = Batch::of(Domain::Installation);
        self.blobs.add_to(&split, owners, &mut batch).unwrap();
        assert!(batch.octets() < 8 << 20, "the batch has {} octets", batch.octets());
        self.engine.commit(batch, Durability::Buffered).unwrap();
        split.manifest
    }

    async fn read(&self, manifest: &Manifest) -> Result<Bytes, StoreError> {
        self.blobs.read(manifest, 0..manifest.octets()).await
    }

    fn keys(&self, table: Table, sort: u8) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        self.engine
            .scan_prefix(table, &[sort], |key, _| {
                keys.push(key.to_vec());
                true
            })
            .unwrap();
        keys
    }

    fn objects(&self) -> Vec<PathBuf> {
        files(&self.folder.path().join("blobs"))
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Octets that do not compress, different for each seed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let clock = Clock::simulated(START, seed.wrapping_mul(0x1234_5678_9abc_def1));
    let mut octets = vec![0; length];
    clock.fill_random(&mut octets);
    octets
}

fn base64_lines(octets: &[u8], line: usize) -> String {
    use base64::Engine as _;
    let symbols = base64::engine::general_purpose::STANDARD.encode(octets);
    symbols.as_bytes().chunks(line).map(|line| format!("{}\r\n", std::str::from_utf8(line).unwrap())).collect()
}

/// A message with one attachment for each of `attachments`, its base64 in lines of `line`.
fn message(subject: &str, attachments: &[&[u8]], line: usize) -> Vec<u8> {
    let mut text = format!(
        "From: ada@example.org\r\nTo: bob@example.net\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"b-1\"\r\n\r\n--b-1\r\nContent-Type: text/plain\r\n\r\nHello {subject}.\r\n"
    );
    for octets in attachments {
        text += "--b-1\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n";
        text += &base64_lines(octets, line);
    }
    (text + "--b-1--\r\n").into_bytes()
}

fn random_ranges(clock: &Clock, octets: u64, count: usize) -> Vec<Range<u64>> {
    let point = || clock.random_u64() % (octets + 1);
    (0..count).map(|_| (point(), point())).map(|(one, other)| one.min(other)..one.max(other)).collect()
}

async fn check_ranges(contents: &Contents, raw: &[u8], manifest: &Manifest, count: usize) {
    for range in random_ranges(&contents.clock, raw.len() as u64, count) {
        let read = contents.blobs.read(manifest, range.clone()).await.unwrap();
        assert!(read == raw[range.start as usize..range.end as usize], "range {range:?} of {}", raw.len());
    }
}

#[tokio::test]
async fn a_message_comes_back_before_and_after_packing() {
    let mut contents = Contents::new();
    let small = noise(10_000, 1);
    let middle = noise(300_000, 2);
    let large = noise(1_500_000, 3);
    let text = "The same words again. ".repeat(9000);
    let raw = message("all sizes", &[&small, &middle, &large, text.as_bytes(), b"tiny"], 76);
    let manifest = contents.deliver(&raw).await;
    assert_eq!(manifest.parts().map(|part| part.octets).collect::<Vec<_>>(), [10_000, 300_000, 1_500_000, 198_000]);
    assert_eq!(manifest.octets(), raw.len() as u64);
    assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Some(&manifest));
    for _ in 0..2 {
        assert!(contents.read(&manifest).await.unwrap() == raw);
        check_ranges(&contents, &raw, &manifest, 200).await;
        contents.blobs.pack_now().await.unwrap();
    }
    assert!(contents.keys(Table::Fresh, FRAME).is_empty());
    assert!(contents.keys(Table::Location, STAGED).is_empty());
    // The pack and the large content's own object; the middle one's staged object is gone.
    assert_eq!(contents.objects().len(), 2);
    assert!(contents.blobs.read(&manifest, raw.len() as u64..u64::MAX).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_attachment_is_kept_once_whatever_its_lines() {
    let mut contents = Contents::new();
    let file = noise(50_000, 4);
    let messages = [60, 64, 76, 76, 998].map(|line| message(&format!("lines of {line}"), &[&file], line));
    let mut manifests = Vec::new();
    for raw in &messages {
        manifests.push(contents.deliver(raw).await);
    }
    let packed = contents.blobs.pack_now().await.unwrap();
    assert_eq!((packed.messages, packed.parts, packed.duplicates), (5, 1, 4));
    // A later run finds it in its pack.
    manifests.push(contents.deliver(&messages[0]).await);
    let packed = contents.blobs.pack_now().await.unwrap();
    assert_eq!((packed.messages, packed.parts, packed.duplicates), (1, 0, 1));
    for (raw, manifest) in messages.iter().chain([&messages[0]]).zip(&manifests) {
        assert!(contents.read(manifest).await.unwrap() == *raw);
    }
    let statistics = contents.blobs.statistics().await.unwrap();
    assert_eq!((statistics.unique_parts, statistics.parts, statistics.parts_saved()), (1, 6, 5));
    assert_eq!(statistics.raw_octets, manifests.iter().map(Manifest::octets).sum::<u64>());
    assert!(statistics.stored_octets < 56_000, "{statistics:?}");
}

#[tokio::test]
async fn a_large_attachment_is_kept_once_and_takes_no_room_twice() {
    for (length, objects) in [(400_000, 2), (3_000_000, 3)] {
        let mut contents = Contents::new();
        let file = noise(length, 5);
        let first = contents.deliver(&message("first", &[&file], 76)).await;
        contents.blobs.pack_now().await.unwrap();
        // The same again takes the same work: an object of its own, whatever is there already.
        let before = contents.objects().len();
        let second = contents.deliver(&message("second", &[&file], 64)).await;
        let third = contents.deliver(&message("third", &[&file], 60)).await;
        assert_eq!(contents.objects().len(), before + 2);
        contents.blobs.pack_now().await.unwrap();
        assert_eq!(contents.objects().len(), objects);
        for manifest in [first, second, third] {
            contents.read(&manifest).await.unwrap();
        }
        let statistics = contents.blobs.statistics().await.unwrap();
        assert_eq!((statistics.unique_parts, statistics.parts, statistics.orphans), (1, 3, 0));
    }
}

#[tokio::test]
async fn a_staged_object_stays_until_all_its_contents_have_left() {
    let contents = Contents::new();
    let (one, other) = (noise(300_000, 6), noise(300_001, 7));
    // The message numbered first has only one of the contents that the second one's object holds.
    let second = contents.deliver_to(&message("both", &[&one, &other], 76), &[owner(5, 1)]).await;
    let first = contents.deliver_to(&message("one", &[&one], 76), &[owner(2, 1)]).await;
    assert_eq!(contents.objects().len(), 2);
    contents.blobs.pack_now().await.unwrap();
    contents.read(&first).await.unwrap();
    contents.read(&second).await.unwrap();
    assert_eq!(contents.objects().len(), 1);
}

#[tokio::test]
async fn a_message_of_many_parts_fits_a_batch() {
    let mut contents = Contents::new();
    let files = (0..60).map(|seed| noise(200_000, 100 + seed)).collect::<Vec<_>>();
    let files = files.iter().map(Vec::as_slice).collect::<Vec<_>>();
    let raw = message("many", &files, 76);
    let manifest = contents.deliver(&raw).await;
    assert_eq!(contents.objects().len(), 1);
    assert!(contents.read(&manifest).await.unwrap() == raw);
    contents.blobs.pack_now().await.unwrap();
    assert!(contents.read(&manifest).await.unwrap() == raw);
}

#[tokio::test]
async fn parts_over_the_bound_stay_raw() {
    let mut contents = Contents::new();
    let files =
        (0..crate::limits::DECODED_PARTS_MAX as u64 + 3).map(|seed| noise(4096, 1000 + seed)).collect::<Vec<_>>();
    let files = files.iter().map(Vec::as_slice).collect::<Vec<_>>();
    let raw = message("very many", &files, 76);
    let manifest = contents.deliver(&raw).await;
    assert_eq!(manifest.parts().count(), crate::limits::DECODED_PARTS_MAX);
    assert!(manifest.encode().len() + crate::limits::OWNER_TAG_OCTETS_MAX < 64 << 10);
    assert!(contents.read(&manifest).await.unwrap() == raw);
}

#[tokio::test]
async fn the_empty_message_is_a_message() {
    let mut contents = Contents::new();
    let manifest = contents.deliver(b"").await;
    assert_eq!((manifest.octets(), contents.keys(Table::Fresh, FRAME).len()), (0, 0));
    contents.blobs.pack_now().await.unwrap();
    assert!(contents.read(&manifest).await.unwrap().is_empty());
}

/// Offsets of parts come from a reader of hostile input; wrong ones cost the decoding, never the octets.
#[tokio::test]
async fn offsets_out_of_order_or_out_of_bounds_do_no_harm() {
    let contents = Contents::new();
    let raw = Bytes::from(message("offsets", &[&noise(9000, 8), &noise(9000, 9)], 76));
    let mut root = analyse(&raw).root;
    let crate::message::Body::Multipart(parts) = &mut root.content else { panic!("a multipart") };
    let (first, last) = (parts[1].clone(), parts[2].clone());
    let mut beyond = last.clone();
    beyond.body.end = u64::MAX;
    let mut backwards = last.clone();
    (backwards.body.start, backwards.body.end) = (backwards.body.end, backwards.body.start);
    *parts = vec![backwards, beyond, last.clone(), first.clone(), last, first];
    let split = contents.blobs.split(&raw, &root);
    assert_eq!(split.manifest.parts().count(), 1);
    let mut batch = Batch::of(Domain::Installation);
    contents.blobs.add_to(&split, &[owner(1, 1)], &mut batch).unwrap();
    contents.engine.commit(batch, Durability::Buffered).unwrap();
    assert!(contents.read(&split.manifest).await.unwrap() == raw);
}

/// DESIGN §3.4: a sweep may be on older generations, so nothing new leans on them.
#[tokio::test]
async fn a_content_of_an_old_generation_is_stored_again() {
    let mut contents = Contents::new();
    let file = noise(20_000, 10);
    let raw = message("old", &[&file], 76);
    let old = contents.deliver(&raw).await;
    contents.blobs.pack_now().await.unwrap();
    for (days, stored_again) in [(30, 0), (61, 1)] {
        contents.clock.advance(Duration::from_secs(days * 86_400));
        contents.deliver(&message(&format!("after {days} days"), &[&file], 76)).await;
        assert_eq!(contents.blobs.pack_now().await.unwrap().parts, stored_again, "after {days} days");
    }
    assert!(contents.read(&old).await.unwrap() == raw);
    // Further owners of a body whose fresh rows are gone.
    let mut batch = Batch::of(Domain::Installation);
    contents.blobs.add_owners(&old, &[owner(90, 2), owner(91, 2)], &mut batch).unwrap();
    contents.engine.commit(batch, Durability::Buffered).unwrap();
    contents.clock.advance(Duration::from_secs(90 * 86_400));
    let packed = contents.blobs.pack_now().await.unwrap();
    assert_eq!((packed.messages, packed.parts, packed.duplicates, packed.damaged), (2, 1, 1, 0));
    assert!(contents.read(&old).await.unwrap() == raw);
}

/// P12. Every octet of every place is flipped in turn: each read gives the message or an error.
#[tokio::test]
async fn damaged_octets_are_never_served() {
    let (small, middle) = (noise(5000, 11), noise(262_200, 12));
    for packed in [false, true] {
        let mut contents = Contents::new();
        let raw = message("damage", &[&small, &middle], 76);
        let manifest = contents.deliver(&raw).await;
        if packed {
            contents.blobs.pack_now().await.unwrap();
        }
        let mut reported = 0;
        for file in contents.objects() {
            let whole = fs::read(&file).unwrap();
            for at in (0..whole.len()).step_by(997).chain(0..200).chain(whole.len() - 200..whole.len()) {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << (at % 8);
                fs::write(&file, &flipped).unwrap();
                reported += u32::from(served_or_reported(&contents, &manifest, &raw).await);
            }
            for length in [whole.len() / 2, 20, 0] {
                fs::write(&file, &whole[..length]).unwrap();
                assert!(served_or_reported(&contents, &manifest, &raw).await);
            }
            fs::write(&file, &whole).unwrap();
        }
        for key in contents.keys(Table::Fresh, FRAME) {
            let whole = contents.engine.get(Table::Fresh, &key).unwrap().unwrap();
            for at in 0..whole.len() {
                reported += u32::from(flip(&contents, &key, &whole, at, &manifest, &raw).await);
            }
        }
        assert!(reported > 400, "{reported} flips were seen");
        assert!(contents.read(&manifest).await.unwrap() == raw);
    }
}

async fn flip(contents: &Contents, key: &[u8], whole: &Bytes, at: usize, manifest: &Manifest, raw: &[u8]) -> bool {
    let put = |octets: &[u8]| {
        let mut batch = Batch::of(Domain::Installation);
        batch.put(Table::Fresh, key, octets);
        contents.engine.commit(batch, Durability::Buffered).unwrap();
    };
    let mut flipped = whole.to_vec();
    flipped[at] ^= 1 << (at % 8);
    put(&flipped);
    let reported = served_or_reported(contents, manifest, raw).await;
    put(whole);
    reported
}

/// Whether damage was reported; fails where damaged octets were given out.
async fn served_or_reported(contents: &Contents, manifest: &Manifest, raw: &[u8]) -> bool {
    match contents.read(manifest).await {
        Ok(read) => {
            assert!(read == raw, "damaged octets were served");
            false
        }
        Err(StoreError::Damaged(_)) => true,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn verification_lists_damage_and_goes_on() {
    let mut contents = Contents::new();
    let mut manifests = Vec::new();
    let files = (0..6).map(|seed| noise(40_000 + seed as usize * 90_000, 20 + seed)).collect::<Vec<_>>();
    for file in &files {
        manifests.push(contents.deliver(&message("verify", &[file], 76)).await);
    }
    contents.blobs.pack_now().await.unwrap();
    let unpacked = contents.deliver(&message("not packed", &[&noise(7000, 30)], 76)).await;
    let mut calls = 0;
    let verified = contents.blobs.verify(|_| calls += 1).await.unwrap();
    // Six files, seven skeletons of which some are equal, one file not packed, one pack.
    assert_eq!((verified.damage.len(), verified.read.done), (0, calls));
    assert_eq!(verified.read.done, verified.read.total);

    let lost = unpacked.parts().next().unwrap();
    let mut batch = Batch::of(Domain::Installation);
    batch.delete(Table::Fresh, rows::frame_key(lost.id, 0));
    contents.engine.commit(batch, Durability::Buffered).unwrap();
    let (second, last) = (manifests[1].parts().next().unwrap(), manifests[5].parts().next().unwrap());
    let pack = contents.objects().pop().unwrap();
    let mut octets = fs::read(&pack).unwrap();
    for content in [second, last] {
        let row = contents.engine.get(Table::Location, rows::settled_key(content.id)).unwrap().unwrap();
        let location = rows::Location::decode(content.id, &row).unwrap();
        octets[(location.offset + location.stored_octets - 1) as usize] ^= 4;
    }
    let end = octets.len();
    octets[end - 40] ^= 1;
    fs::write(&pack, octets).unwrap();

    let verified = contents.blobs.verify(|_| {}).await.unwrap();
    let mut damaged = verified.damage.iter().map(|damage| damage.content).collect::<Vec<_>>();
    damaged.sort();
    let mut expected = vec![None, Some(second.id), Some(last.id), Some(lost.id)];
    expected.sort();
    assert_eq!(damaged, expected);
    // Damage to one message hides no other.
    for (number, manifest) in manifests.iter().enumerate() {
        assert_eq!(contents.read(manifest).await.is_err(), number == 1 || number == 5);
    }
    // The packer leaves what it cannot read, and packs the rest.
    let whole = contents.deliver(&message("whole", &[&noise(8000, 31)], 76)).await;
    let packed = contents.blobs.pack_now().await.unwrap();
    assert_eq!((packed.messages, packed.damaged), (1, 1));
    contents.read(&whole).await.unwrap();
}

/// P10.
#[tokio::test]
async fn locations_are_rebuilt_from_packs() {
    let mut contents = Contents::new();
    let shared = noise(30_000, 40);
    let mut delivered = Vec::new();
    for number in 0..20_u64 {
        let own = noise(6000 + 100_000 * (number as usize % 14), 50 + number);
        let raw = message(&format!("number {number}"), &[&own, &shared], 76);
        delivered.push((contents.deliver(&raw).await, raw));
        if number % 7 == 6 {
            contents.blobs.pack_now().await.unwrap();
        }
    }
    let before = contents.blobs.statistics().await.unwrap();
    let rows = contents.keys(Table::Location, SETTLED).len();
    let mut batch = Batch::of(Domain::Installation);
    batch.delete_range(Table::Location, [SETTLED], [STAGED]);
    batch.delete(Table::System, rows::PACKED_KEY);
    contents.keys(Table::Location, rows::PACK).iter().take(2).for_each(|key| batch.delete(Table::Location, key));
    contents.engine.commit(batch, Durability::Buffered).unwrap();
    assert!(contents.read(&delivered[0].0).await.is_err());

    let rebuilt = contents.blobs.rebuild_locations().await.unwrap();
    assert_eq!((rebuilt.damaged, rebuilt.messages), (0, 14));
    assert_eq!(contents.keys(Table::Location, SETTLED).len(), rows);
    assert_eq!(contents.blobs.statistics().await.unwrap(), before);
    for (manifest, raw) in &delivered {
        assert!(contents.read(manifest).await.unwrap() == *raw);
    }
    contents.blobs.pack_now().await.unwrap();
    for (manifest, raw) in &delivered {
        assert!(contents.read(manifest).await.unwrap() == *raw);
    }
}

/// A pack alone says whose its messages are, with all that a record is made from.
#[tokio::test]
async fn packs_name_the_owners_of_their_bodies() {
    let contents = Contents::new();
    let owners = [owner(3, 8), owner(4, 9)];
    let manifest = contents.deliver_to(&message("owners", &[&noise(5000, 60)], 76), &owners).await;
    contents.blobs.pack_now().await.unwrap();
    let (name, _) = contents.blobs.0.pack_rows().await.unwrap().into_iter().next().unwrap();
    let footer = contents.blobs.0.footer(name).await.unwrap();
    let mut found = footer.bodies.clone();
    found.sort_by_key(|body| body.owner.number);
    assert_eq!(found, owners.map(|owner| OwnedBody { owner, manifest: manifest.clone() }));
    assert_eq!(footer.locations.len(), 2);
}

/// A read that looks a content up while it moves finds it all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn reads_do_not_see_the_packer() {
    let mut contents = Contents::new();
    let (reading, mut readers) = (contents.blobs.clone(), Vec::new());
    for round in 0..12_u64 {
        let raw = message("race", &[&noise(9000, 70 + round), &noise(270_000, 90 + round % 3)], 76);
        let manifest = contents.deliver(&raw).await;
        let blobs = reading.clone();
        readers.push(tokio::spawn(async move {
            for _ in 0..40 {
                assert!(blobs.read(&manifest, 0..manifest.octets()).await.unwrap() == raw);
            }
        }));
        tokio::task::yield_now().await;
        contents.blobs.pack_now().await.unwrap();
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn half_written_objects_go_when_the_store_opens() {
    let mut contents = Contents::new();
    contents.deliver(&message("x", &[&noise(300_000, 80)], 76)).await;
    let object = contents.objects().pop().unwrap();
    let unfinished = PathBuf::from(format!("{}#1", object.display()));
    fs::write(&unfinished, "half").unwrap();
    let Contents { folder, engine, blobs, clock, .. } = contents;
    drop((engine, blobs));
    let _reopened = open(folder.path(), &clock);
    assert!(object.exists() && !unfinished.exists());
}

#[tokio::test]
async fn objects_are_put_read_and_deleted_by_name() {
    let contents = Contents::new();
    let name = "index/7/0000000000000001";
    contents.blobs.put_object(name, Bytes::from_static(b"bundle")).await.unwrap();
    assert_eq!(contents.blobs.get_object(name).await.unwrap(), "bundle");
    assert_eq!(fs::read(contents.blobs.object_file(name).unwrap().unwrap()).unwrap(), b"bundle");
    assert_eq!(contents.blobs.statistics().await.unwrap().orphans, 0);
    contents.blobs.delete_object(name).await.unwrap();
    contents.blobs.delete_object(name).await.unwrap();
    assert!(matches!(contents.blobs.get_object(name).await, Err(StoreError::Damaged(_))));
}

#[tokio::test]
async fn the_packer_waits_for_a_packs_worth_or_a_day() {
    let mut contents = Contents::new();
    contents.deliver(&message("little", &[&noise(5000, 110)], 76)).await;
    contents.blobs.pack_if_due().await.unwrap();
    assert!(contents.objects().is_empty());
    contents.clock.advance(Duration::from_millis(PACK_WAIT_MILLIS as u64));
    contents.blobs.pack_if_due().await.unwrap();
    assert_eq!(contents.objects().len(), 1);
    for seed in 0..50 {
        contents.deliver(&message("much", &[&noise(200_000, 120 + seed)], 76)).await;
    }
    contents.blobs.pack_if_due().await.unwrap();
    assert_eq!(contents.objects().len(), 2);
}

mod corpora;
mod crash;
mod model;
mod sweep;
