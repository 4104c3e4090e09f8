//! A place of objects that fails by plan: what a store has to live with, from a seed.
//!
//! Promises: what a request meets depends on the seed, the operation, the name and how often that was asked before, and
//! not on which of two requests at once came first. Objects stay whole: an object store tears answers, never objects.

use super::retry::{ended_early, transient};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};
use parking_lot::Mutex;
use std::{collections::HashMap, fmt, ops::Range, sync::Arc, time::Duration};

/// How a place of objects fails. The shares are of 1,000 requests, each drawn for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectFaults {
    /// What the draws follow from.
    pub seed: u64,
    /// Longest pause before and after the work of a request, in milliseconds.
    pub pause_millis_max: u64,
    /// Requests that are refused before anything was done. 1,000 is an outage.
    pub refused: u16,
    /// Puts, parts and deletions that are done and answered with an error: their outcome is unknown.
    pub lost_answers: u16,
    /// Reads whose answer ends early, half of them without saying so.
    pub torn_reads: u16,
    /// Listings that end early, with an error.
    pub torn_lists: u16,
}

/// The plan and what came of it. Clones share both.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan(Arc<Mutex<Drawn>>);

#[derive(Debug, Default)]
struct Drawn {
    faults: ObjectFaults,
    /// How often each operation was asked of each name.
    asked: HashMap<(Operation, Path), u64>,
    met: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Put,
    Part,
    Get,
    Delete,
    List,
}

/// What one request will meet.
struct Fate {
    before: Duration,
    after: Duration,
    refused: bool,
    lost_answer: bool,
    torn_read: bool,
    torn_list: bool,
    /// For what is left to chance in a torn answer.
    chance: u64,
}

impl Plan {
    pub(super) fn set(&self, faults: ObjectFaults) {
        let mut drawn = self.0.lock();
        drawn.faults = faults;
        drawn.asked.clear();
    }

    /// Requests that met a fault until now.
    pub(super) fn met(&self) -> u64 {
        self.0.lock().met
    }

    fn draw(&self, operation: Operation, path: &Path) -> Fate {
        let mut drawn = self.0.lock();
        let faults = drawn.faults;
        let asked = drawn.asked.entry((operation, path.clone())).or_default();
        *asked += 1;
        let hash = hash(faults.seed, operation, path, *asked);
        let mut words =
            hash.as_bytes().chunks_exact(8).map(|word| word.iter().fold(0, |sum, o| sum << 8 | u64::from(*o)));
        let mut word = || words.next().unwrap_or(0);
        let (pause, chance) = (word(), word());
        let shares = word();
        let share = |place: u32, of: u16| (shares >> (16 * place)) & 0xffff < u64::from(of) * 0x1_0000 / 1000;
        let millis = |random: u64| Duration::from_millis((random & 0xffff_ffff) % (faults.pause_millis_max + 1));
        let fate = Fate {
            before: millis(pause),
            after: millis(pause >> 32),
            refused: share(0, faults.refused),
            lost_answer: share(1, faults.lost_answers),
            torn_read: share(2, faults.torn_reads),
            torn_list: share(3, faults.torn_lists),
            chance,
        };
        drawn.met += u64::from(fate.meets(operation));
        fate
    }
}

fn hash(seed: u64, operation: Operation, path: &Path, asked: u64) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&[operation as u8]).update(&asked.to_le_bytes());
    hasher.update(path.as_ref().as_bytes()).finalize()
}

impl Fate {
    fn meets(&self, operation: Operation) -> bool {
        let own = match operation {
            Operation::Put | Operation::Part | Operation::Delete => self.lost_answer,
            Operation::Get => self.torn_read,
            Operation::List => self.torn_list,
        };
        self.refused || own
    }

    async fn begin(&self) -> Result<()> {
        pause(self.before).await;
        if self.refused { Err(transient("503 by plan, nothing was done")) } else { Ok(()) }
    }

    /// After something was changed.
    async fn answer<T>(&self, done: T) -> Result<T> {
        pause(self.after).await;
        if self.lost_answer { Err(transient("500 by plan, it was done")) } else { Ok(done) }
    }

    /// The first octets of an answer, and whether it says that it ended early.
    fn tear(&self, octets: &Bytes) -> Result<Bytes> {
        if self.chance & 1 == 0 {
            return Err(ended_early());
        }
        let kept = (self.chance >> 1) % (octets.len() as u64).max(1);
        Ok(octets.slice(..usize::try_from(kept).unwrap_or(0)))
    }
}

async fn pause(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

/// A place behind a plan.
#[derive(Clone, Debug)]
pub(super) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    plan: Plan,
}

impl Faulty {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, plan: Plan) -> Self {
        Self { inner, plan }
    }

    async fn delete_one(self, path: Result<Path>) -> Result<Path> {
        let path = path?;
        let fate = self.plan.draw(Operation::Delete, &path);
        fate.begin().await?;
        self.inner.delete(&path).await?;
        fate.answer(path).await
    }

    /// The objects of a listing, up to where it is torn.
    async fn list_all(self, prefix: Option<Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let fate = self.plan.draw(Operation::List, &prefix.clone().unwrap_or_default());
        if let Err(error) = fate.begin().await {
            return stream::once(async { Err(error) }).boxed();
        }
        let mut all: Vec<Result<ObjectMeta>> = self.inner.list(prefix.as_ref()).collect().await;
        if fate.torn_list {
            all.truncate(usize::try_from(fate.chance % (all.len() as u64 + 1)).unwrap_or(0));
            all.push(Err(ended_early()));
        }
        stream::iter(all).boxed()
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

// The trait is one of `async_trait`; these are the signatures that it makes.
impl ObjectStore for Faulty {
    fn put_opts<'s, 'p, 'f>(
        &'s self,
        location: &'p Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'f, Result<PutResult>>
    where
        's: 'f,
        'p: 'f,
        Self: 'f,
    {
        async move {
            let fate = self.plan.draw(Operation::Put, location);
            fate.begin().await?;
            fate.answer(self.inner.put_opts(location, payload, options).await?).await
        }
        .boxed()
    }

    fn put_multipart_opts<'s, 'p, 'f>(
        &'s self,
        location: &'p Path,
        options: PutMultipartOptions,
    ) -> BoxFuture<'f, Result<Box<dyn MultipartUpload>>>
    where
        's: 'f,
        'p: 'f,
        Self: 'f,
    {
        async move {
            let inner = self.inner.put_multipart_opts(location, options).await?;
            let upload = FaultyUpload { inner, plan: self.plan.clone(), path: location.clone() };
            Ok(Box::new(upload) as Box<dyn MultipartUpload>)
        }
        .boxed()
    }

    fn get_opts<'s, 'p, 'f>(&'s self, location: &'p Path, options: GetOptions) -> BoxFuture<'f, Result<GetResult>>
    where
        's: 'f,
        'p: 'f,
        Self: 'f,
    {
        async move {
            let fate = self.plan.draw(Operation::Get, location);
            fate.begin().await?;
            let head = options.head;
            let answer = self.inner.get_opts(location, options).await?;
            pause(fate.after).await;
            if head || !fate.torn_read {
                return Ok(answer);
            }
            let (meta, range, attributes) = (answer.meta.clone(), answer.range.clone(), answer.attributes.clone());
            let torn = fate.tear(&answer.bytes().await?)?;
            let payload = GetResultPayload::Stream(stream::once(async { Ok(torn) }).boxed());
            Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
        }
        .boxed()
    }

    fn get_ranges<'s, 'p, 'r, 'f>(
        &'s self,
        location: &'p Path,
        ranges: &'r [Range<u64>],
    ) -> BoxFuture<'f, Result<Vec<Bytes>>>
    where
        's: 'f,
        'p: 'f,
        'r: 'f,
        Self: 'f,
    {
        async move {
            let fate = self.plan.draw(Operation::Get, location);
            fate.begin().await?;
            let read = self.inner.get_ranges(location, ranges).await?;
            pause(fate.after).await;
            if fate.torn_read { read.iter().map(|octets| fate.tear(octets)).collect() } else { Ok(read) }
        }
        .boxed()
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let place = self.clone();
        locations.then(move |location| place.clone().delete_one(location)).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(self.clone().list_all(prefix.cloned())).flatten().boxed()
    }

    fn list_with_delimiter<'s, 'p, 'f>(&'s self, prefix: Option<&'p Path>) -> BoxFuture<'f, Result<ListResult>>
    where
        's: 'f,
        'p: 'f,
        Self: 'f,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'s, 'p, 'q, 'f>(
        &'s self,
        from: &'p Path,
        to: &'q Path,
        options: CopyOptions,
    ) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        'p: 'f,
        'q: 'f,
        Self: 'f,
    {
        self.inner.copy_opts(from, to, options)
    }
}

/// An upload in parts behind a plan.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    plan: Plan,
    path: Path,
}

impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let fate = self.plan.draw(Operation::Part, &self.path);
        let part = self.inner.put_part(data);
        async move {
            fate.begin().await?;
            part.await?;
            fate.answer(()).await
        }
        .boxed()
    }

    fn complete<'s, 'f>(&'s mut self) -> BoxFuture<'f, Result<PutResult>>
    where
        's: 'f,
        Self: 'f,
    {
        async move {
            let fate = self.plan.draw(Operation::Put, &self.path);
            fate.begin().await?;
            fate.answer(self.inner.complete().await?).await
        }
        .boxed()
    }

    fn abort<'s, 'f>(&'s mut self) -> BoxFuture<'f, Result<()>>
    where
        's: 'f,
        Self: 'f,
    {
        self.inner.abort()
    }
}
