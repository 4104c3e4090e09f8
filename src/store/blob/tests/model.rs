//! A model of what the sweep promises (P9): random deliveries, copies, deletions, packing, sweeps that are ended at any
//! point, reopening, and readers that hold on to a manifest, on a simulated clock.

use super::{
    sweep::{DAY, HOUR, Kept, World, run_to},
    *,
};
use proptest::prelude::*;
use std::pin::pin;

#[derive(Clone, Debug)]
enum Step {
    /// A message with this text and these attachments.
    Deliver(u64, Vec<u64>),
    /// A delivery to two partitions, of which one has its copy.
    DeliverInPart(u64, Vec<u64>),
    /// The second copy of the oldest such delivery.
    Finish,
    /// One message goes; somebody still reads it.
    Remove(usize),
    Pack,
    Sweep,
    /// The process ends in the middle of a sweep.
    CrashInSweep(usize),
    /// The process ends in the middle of packing.
    CrashInPack(usize),
    Reopen,
    Hours(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let attachments = || proptest::collection::vec(0..7_u64, 0..3);
    prop_oneof![
        5 => (0..4_u64, attachments()).prop_map(|(text, files)| Step::Deliver(text, files)),
        1 => (0..4_u64, attachments()).prop_map(|(text, files)| Step::DeliverInPart(text, files)),
        1 => Just(Step::Finish),
        5 => any::<usize>().prop_map(Step::Remove),
        3 => Just(Step::Pack),
        3 => Just(Step::Sweep),
        1 => (1..40_usize).prop_map(Step::CrashInSweep),
        1 => (1..20_usize).prop_map(Step::CrashInPack),
        1 => Just(Step::Reopen),
        4 => (1..40_u64).prop_map(Step::Hours),
    ]
}

/// Sizes of all sorts: in the batch, staged with others, an object of its own.
fn attachment(seed: u64) -> Vec<u8> {
    noise([5_000, 9_000, 20_000, 40_000, 270_000, 300_000, 1_060_000][seed as usize % 7], 800 + seed)
}

fn raw(text: u64, files: &[u64]) -> Vec<u8> {
    let files = files.iter().map(|seed| attachment(*seed)).collect::<Vec<_>>();
    message(&format!("text {text}"), &files.iter().map(Vec::as_slice).collect::<Vec<_>>(), 76)
}

/// The world with what is under way in it.
struct Run {
    world: World,
    pending: Vec<Kept>,
    /// Messages that were removed at a time, while somebody reads them.
    read: Vec<(UnixMillis, Kept)>,
}

impl Run {
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Deliver(text, files) => drop(self.world.deliver(&raw(*text, files)).await),
            Step::DeliverInPart(text, files) => {
                let number = self.world.deliver(&raw(*text, files)).await;
                let kept = self.world.messages[&number].clone();
                self.pending.push(kept);
                self.name_pending();
            }
            Step::Finish if !self.pending.is_empty() => {
                let kept = self.pending.remove(0);
                self.world.name_again(&kept.manifest, &kept.raw);
                self.name_pending();
            }
            Step::Remove(which) if !self.world.messages.is_empty() => {
                let number = *self.world.messages.keys().nth(which % self.world.messages.len()).unwrap();
                let kept = self.world.remove(number);
                self.read.push((self.world.contents.clock.now(), kept));
            }
            Step::Pack => self.world.pack().await,
            Step::Sweep => drop(self.world.sweep().await),
            Step::Hours(hours) => self.world.advance(HOUR * *hours as u32),
            Step::Finish | Step::Remove(_) | Step::CrashInSweep(_) | Step::CrashInPack(_) | Step::Reopen => {}
        }
    }

    fn name_pending(&self) {
        let contents = self.pending.iter().flat_map(|kept| kept.manifest.contents()).collect();
        *self.world.outside.outbox.lock() = contents;
    }

    async fn check(&mut self) {
        self.world.check().await;
        let now = self.world.contents.clock.now();
        self.read.retain(|(removed, _)| now.0 - removed.0 < DAY.as_millis() as i64);
        let pending = self.pending.iter().chain(self.read.iter().map(|(_, kept)| kept));
        for kept in pending {
            assert!(self.world.contents.read(&kept.manifest).await.unwrap() == kept.raw);
        }
    }

    /// Everything is removed, and after its time nothing is left.
    async fn end(&mut self) {
        self.pending.clear();
        self.name_pending();
        let numbers = self.world.messages.keys().copied().collect::<Vec<_>>();
        numbers.into_iter().for_each(|number| drop(self.world.remove(number)));
        self.world.pack().await;
        self.world.let_days_pass(7).await;
        assert_eq!(self.world.contents.objects(), Vec::<PathBuf>::new());
        assert_eq!(self.world.contents.blobs.statistics().await.unwrap(), ContentStatistics::default());
        for sort in [rows::SETTLED, rows::STAGED, rows::PACK, rows::SINCE, rows::RETIRED, rows::STRAY] {
            assert!(self.world.contents.keys(Table::Location, sort).is_empty(), "rows of sort {sort}");
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn run(steps: &[Step]) {
    let mut run = Run { world: World::new(), pending: Vec::new(), read: Vec::new() };
    for step in steps {
        // A runtime of its own, whose end waits for what it has begun and drops the rest.
        let runtime = runtime();
        runtime.block_on(async {
            let (blobs, outside) = (run.world.contents.blobs.clone(), Arc::clone(&run.world.outside));
            match step {
                Step::CrashInSweep(point) => drop(run_to(pin!(blobs.sweep(outside)), *point).await),
                Step::CrashInPack(point) => drop(run_to(pin!(blobs.pack_now()), *point).await),
                other => run.step(other).await,
            }
        });
        drop(runtime);
        if matches!(step, Step::CrashInSweep(_) | Step::CrashInPack(_) | Step::Reopen) {
            run.world = run.world.reopen();
        }
        self::runtime().block_on(run.check());
    }
    runtime().block_on(run.end());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("POSTERN_SWEEP_SEEDS").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12)
    ))]

    #[test]
    fn whatever_is_named_stays_and_nothing_else_does(steps in proptest::collection::vec(step(), 10..50)) {
        run(&steps);
    }
}
