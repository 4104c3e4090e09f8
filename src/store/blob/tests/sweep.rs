//! Sweeps: what has no reference goes, what has one stays, whatever comes between.

use super::*;
use crate::store::key::{Place, partition_of};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
};

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

/// A day is a generation here, and a day the grace time.
pub(super) const KEEPING: Keeping = Keeping { generation_seconds: 24 * 3600, grace_hours: 24 };

/// What the store's other parts would say: which messages there are, which deliveries are under way.
#[derive(Default)]
pub(super) struct Elsewhere {
    pub(super) records: Mutex<HashSet<(AccountId, MessageNumber)>>,
    pub(super) outbox: Mutex<HashSet<ContentId>>,
}

fn batch_of(account: AccountId) -> Batch {
    Batch::of(Domain::Partition(partition_of(account, 2)))
}

impl Outside for Elsewhere {
    fn contents(&self) -> Result<HashSet<ContentId>, StoreError> {
        Ok(self.outbox.lock().clone())
    }

    fn index_objects(&self) -> Result<HashSet<String>, StoreError> {
        Ok(HashSet::from(["index/7/named".to_owned()]))
    }

    fn has_record(&self, account: AccountId, number: MessageNumber) -> Result<bool, StoreError> {
        Ok(self.records.lock().contains(&(account, number)))
    }
}

/// One message of an account.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) owner: Owner,
    pub(super) manifest: Manifest,
    pub(super) raw: Vec<u8>,
}

/// Contents with references to them.
pub(super) struct World {
    pub(super) contents: Contents,
    pub(super) outside: Arc<Elsewhere>,
    references: HashMap<(AccountId, ContentId), u64>,
    pub(super) messages: BTreeMap<u32, Kept>,
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::simulated(START, 1);
        let (engine, blobs) = open_with(folder.path(), &clock, KEEPING);
        let contents = Contents { folder, engine, blobs, clock, delivered: 0 };
        Self { contents, outside: Arc::default(), references: HashMap::new(), messages: BTreeMap::new() }
    }

    /// Closes everything and opens it again.
    pub(super) fn reopen(self) -> Self {
        let Self { contents: Contents { folder, engine, blobs, clock, delivered }, outside, references, messages } =
            self;
        drop((engine, blobs));
        let (engine, blobs) = open_with(folder.path(), &clock, KEEPING);
        let contents = Contents { folder, engine, blobs, clock, delivered };
        Self { contents, outside, references, messages }
    }

    /// Delivers a message: octets, owner and references in one batch.
    pub(super) async fn deliver(&mut self, raw: &[u8]) -> u32 {
        let raw_octets = Bytes::copy_from_slice(raw);
        let split = self.contents.blobs.split(&raw_octets, &analyse(raw).root);
        self.contents.blobs.stage_large(&split).await.unwrap();
        let number = self.next_number();
        let mut batch = batch_of(owner(number, 1).account);
        self.contents.blobs.add_to(&split, &[owner(number, 1)], &mut batch).unwrap();
        self.commit(number, split.manifest, raw, batch);
        number
    }

    /// A further partition's copy, which names what is stored and brings nothing.
    pub(super) fn name_again(&mut self, manifest: &Manifest, raw: &[u8]) -> u32 {
        let number = self.next_number();
        let mut batch = batch_of(owner(number, 1).account);
        self.contents.blobs.add_owners(manifest, &[owner(number, 1)], &mut batch).unwrap();
        self.commit(number, manifest.clone(), raw, batch);
        number
    }

    fn next_number(&mut self) -> u32 {
        self.contents.delivered += 1;
        self.contents.delivered
    }

    fn commit(&mut self, number: u32, manifest: Manifest, raw: &[u8], mut batch: Batch) {
        let owner = owner(number, 1);
        for content in manifest.contents() {
            self.count(owner.account, content, 1, &mut batch);
        }
        self.contents.engine.commit(batch, Durability::Buffered).unwrap();
        self.outside.records.lock().insert((owner.account, owner.number));
        self.messages.insert(number, Kept { owner, manifest, raw: raw.to_vec() });
    }

    /// Removes a message with its references.
    pub(super) fn remove(&mut self, number: u32) -> Kept {
        let kept = self.messages.remove(&number).unwrap();
        let mut batch = batch_of(kept.owner.account);
        for content in kept.manifest.contents() {
            self.count(kept.owner.account, content, -1, &mut batch);
        }
        self.contents.engine.commit(batch, Durability::Buffered).unwrap();
        self.outside.records.lock().remove(&(kept.owner.account, kept.owner.number));
        kept
    }

    fn count(&mut self, account: AccountId, content: ContentId, by: i64, batch: &mut Batch) {
        let key = Place { partition: partition_of(account, 2), account }.reference(content);
        let count = self.references.entry((account, content)).or_default();
        *count = count.saturating_add_signed(by);
        match *count {
            0 => batch.delete(Table::Reference, key),
            count => batch.put(Table::Reference, key, count.to_be_bytes()),
        }
    }

    pub(super) async fn pack(&self) {
        assert_eq!(self.contents.blobs.pack_now().await.unwrap().damaged, 0);
    }

    pub(super) async fn sweep(&self) -> Swept {
        let outside: Arc<dyn Outside> = Arc::<Elsewhere>::clone(&self.outside);
        self.contents.blobs.sweep(outside).await.unwrap()
    }

    pub(super) async fn dry(&self) -> Swept {
        let outside: Arc<dyn Outside> = Arc::<Elsewhere>::clone(&self.outside);
        self.contents.blobs.sweep_dry(outside).await.unwrap()
    }

    pub(super) fn advance(&self, by: Duration) {
        self.contents.clock.advance(by);
    }

    /// Every message comes back.
    pub(super) async fn check(&self) {
        for kept in self.messages.values() {
            assert!(self.contents.read(&kept.manifest).await.unwrap() == kept.raw);
        }
        assert_eq!(self.contents.blobs.verify(|_| {}).await.unwrap().damage, []);
    }

    /// Lets generations and grace times go by, with a sweep each day.
    pub(super) async fn let_days_pass(&self, days: u32) {
        for _ in 0..days {
            self.advance(DAY);
            self.sweep().await;
        }
    }

    fn octets(&self) -> u64 {
        self.contents.objects().iter().map(|object| fs::metadata(object).unwrap().len()).sum()
    }
}

/// Runs a future up to its wait number `point`; what it gave where it ended before.
pub(super) async fn run_to<F: Future>(mut future: Pin<&mut F>, point: usize) -> Option<F::Output> {
    let mut polls = 0;
    poll_fn(|context| {
        if polls == point {
            return Poll::Ready(None);
        }
        polls += 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// A message with one attachment of its own.
fn letter(seed: u64) -> Vec<u8> {
    message(&format!("letter {seed}"), &[&noise(20_000, seed)], 76)
}

#[tokio::test]
async fn octets_without_a_reference_go_after_two_generations_and_the_grace_time() {
    let mut world = World::new();
    let sizes = [6_000, 300_000, 1_200_000];
    let mut numbers = Vec::new();
    for (seed, size) in (400..).zip(sizes) {
        numbers.push(world.deliver(&message("one", &[&noise(size, seed)], 76)).await);
    }
    world.pack().await;
    let stored = world.octets();
    numbers.into_iter().for_each(|number| drop(world.remove(number)));
    // Open generations are not looked at.
    assert_eq!(world.sweep().await, Swept::default());
    world.advance(DAY);
    assert_eq!(world.sweep().await, Swept::default());
    world.advance(DAY);
    let marked = world.sweep().await;
    // Three skeletons, which are equal and so one, and three parts.
    assert_eq!((marked.contents, marked.unnamed, marked.removed), (4, 4, 0));
    world.advance(DAY - HOUR);
    assert_eq!(world.sweep().await.removed, 0, "the grace time is not over");
    assert_eq!(world.octets(), stored);
    world.advance(HOUR);
    let dry = world.dry().await;
    assert_eq!(world.octets(), stored, "a dry run changes nothing");
    let swept = world.sweep().await;
    assert_eq!(dry, swept, "a dry run says what is done");
    assert_eq!((swept.removed, swept.dropped, swept.repacked), (4, 2, 0));
    assert_eq!(swept.freed_octets, stored);
    assert!(world.contents.objects().is_empty());
    assert_eq!(world.sweep().await, Swept::default());
    let rows =
        [rows::SETTLED, rows::PACK, rows::SINCE, rows::RETIRED].map(|sort| world.contents.keys(Table::Location, sort));
    assert!(rows.iter().all(Vec::is_empty), "{rows:?}");
    assert_eq!(world.contents.blobs.statistics().await.unwrap(), ContentStatistics::default());
}

#[tokio::test]
async fn a_pack_under_half_kept_is_written_again_and_keeps_its_messages_names() {
    let mut world = World::new();
    let mut numbers = Vec::new();
    for seed in 0..10 {
        numbers.push(world.deliver(&letter(500 + seed)).await);
    }
    world.pack().await;
    let stored = world.octets();
    numbers.drain(..4).for_each(|number| drop(world.remove(number)));
    world.let_days_pass(6).await;
    assert_eq!(world.octets(), stored, "more than half is kept");
    numbers.drain(..3).for_each(|number| drop(world.remove(number)));
    world.let_days_pass(1).await;
    let old = world.contents.objects();
    world.advance(DAY);
    let swept = world.sweep().await;
    assert_eq!((swept.removed, swept.repacked, swept.dropped), (14, 1, 0));
    assert!(world.contents.objects().contains(&old[0]), "whoever reads the old pack finishes");
    world.check().await;
    world.let_days_pass(1).await;
    assert!(!world.contents.objects().contains(&old[0]));
    assert!(world.octets() < stored * 4 / 10);
    world.check().await;

    let (name, _) = world.contents.blobs.0.pack_rows().await.unwrap().into_iter().next().unwrap();
    let footer = world.contents.blobs.0.footer(name).await.unwrap();
    let owners = footer.bodies.iter().map(|body| body.owner.number.get()).collect::<HashSet<_>>();
    assert_eq!(owners, numbers.into_iter().collect());
    assert_eq!(world.contents.blobs.statistics().await.unwrap().messages, 3, "those that went are not counted");
    // Locations can still be made again from what is there.
    let before = world.contents.blobs.statistics().await.unwrap();
    world.contents.blobs.rebuild_locations().await.unwrap();
    assert_eq!(world.contents.blobs.statistics().await.unwrap(), before);
    world.check().await;
}

/// Messages whose contents lie in other packs keep their names, which their own pack has.
#[tokio::test]
async fn a_pack_of_names_alone_is_kept_and_follows_its_messages() {
    let mut world = World::new();
    let first = world.deliver(&letter(600)).await;
    world.pack().await;
    let second = world.deliver(&letter(600)).await;
    world.pack().await;
    assert_eq!(world.contents.objects().len(), 2);
    world.remove(first);
    world.let_days_pass(6).await;
    assert_eq!(world.contents.objects().len(), 2, "its contents in one, its name in the other");
    world.check().await;
    world.remove(second);
    world.let_days_pass(5).await;
    assert!(world.contents.objects().is_empty());
}

/// The race that others lose: the same octets come again after the marks and before the removal. Here they come at
/// each point where the sweep waits, packed or not.
#[tokio::test]
async fn the_same_content_delivered_between_mark_and_delete_survives() {
    let mut points = 0;
    for point in 0.. {
        let mut world = World::new();
        let raw = letter(700);
        let large = message("large", &[&noise(1_100_000, 701)], 76);
        for raw in [&raw, &large] {
            let number = world.deliver(raw).await;
            world.pack().await;
            world.remove(number);
        }
        world.let_days_pass(2).await;
        world.advance(DAY);
        assert!(!world.contents.objects().is_empty());
        let outside: Arc<dyn Outside> = Arc::<Elsewhere>::clone(&world.outside);
        let blobs = world.contents.blobs.clone();
        let mut sweep = pin!(blobs.sweep(outside));
        let ended = run_to(sweep.as_mut(), point).await.is_some();
        for raw in [&raw, &large] {
            world.deliver(raw).await;
        }
        if world.contents.blobs.0.packing.try_lock().is_ok() {
            world.pack().await;
        }
        world.check().await;
        if !ended {
            sweep.await.unwrap();
        }
        world.check().await;
        world.pack().await;
        world.let_days_pass(5).await;
        world.check().await;
        points = point;
        if ended {
            break;
        }
    }
    assert!(points > 10, "the sweep waited at {points} points");
}

#[tokio::test]
async fn more_contents_lose_their_references_at_once_than_one_batch_can_note() {
    const CONTENTS: u64 = 200_000;
    let world = World::new();
    let engine = &world.contents.engine;
    let pack = world.contents.blobs.0.new_pack_name();
    let mut batch = Batch::of(Domain::Installation);
    for number in 0..CONTENTS {
        let id = ContentId(*blake3::hash(&number.to_be_bytes()).as_bytes());
        let content = manifest::Named { id, kind: manifest::Kind::Part, octets: 1 };
        rows::Location { pack, offset: number, stored_octets: 1, content }.settle(&mut batch);
        engine.commit_beyond(crate::limits::GROUP_OCTETS_MAX, &mut batch, Durability::Buffered).unwrap();
    }
    engine.commit(batch, Durability::Buffered).unwrap();
    world.advance(3 * DAY);
    assert_eq!(world.sweep().await.unnamed, CONTENTS);
    assert_eq!(world.contents.blobs.0.count(&pages::Pages::new(Table::Location, rows::SINCE)).unwrap(), CONTENTS);
}
