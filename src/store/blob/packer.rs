//! The packer: moves what deliveries wrote into packs, each content once.
//!
//! Promises: a content has a place at every moment. A pack is on stable storage before the one synced
//! batch that puts its locations in and takes the fresh and staged rows out; a crash before the batch
//! leaves a pack that nothing names, one after it leaves staged objects that nothing names. This is
//! the only place where contents are found to be equal, minutes after the reply to the sender, so no
//! reply, time or quota tells whether the server had the octets. Never: links to a content of a
//! generation before the last (a sweep may be on it); it stores a copy instead.
//! Logs: one line a pack; a content that is damaged or missing is a warning, and stays where it is
//! together with its message's row.

use super::{
    Packed, Shared,
    frame::{Content, frames_of},
    manifest::{Kind, Named},
    pack::{Pack, PackBuilder},
    read::blocking,
    rows::{Location, OWNER, OwnedBody, PACKED_KEY, PackName, PackRow, Totals, frame_key, pack_key, settled_key},
};
use crate::{
    limits::{GROUP_OCTETS_MAX, PACK_MESSAGES_MAX, PACK_OCTETS_TARGET, SOLE_CONTENT_OCTETS_MIN},
    mail::ContentId,
    store::{
        StoreError, failpoint,
        metadata::{Batch, Domain, Durability, Table, after_prefix},
    },
};
use std::{
    collections::{HashMap, HashSet},
    ops::Bound,
    sync::Arc,
};
use tracing::{info, warn};

/// Messages whose contents are looked up at a time.
const LOOKUP_MESSAGES: usize = 64;

/// A body with the key of its row; `None` where the row cannot be read.
type KeyedBody = (Vec<u8>, Option<OwnedBody>);

impl Shared {
    /// Packs everything that is fresh now.
    pub(super) async fn pack_all(self: &Arc<Self>) -> Result<Packed, StoreError> {
        let _turn = self.packing.lock().await;
        let mut packed = Packed::default();
        let mut after = vec![OWNER];
        loop {
            let load = self.load(after).await?;
            after = load.after.clone();
            let ended = load.ended;
            packed.add(self.ship(load).await?);
            if ended {
                return Ok(packed);
            }
        }
    }

    /// Gathers messages, in order of account and number, until a pack is full or none is left.
    async fn load(self: &Arc<Self>, after: Vec<u8>) -> Result<Load, StoreError> {
        let mut load = Load::new(self.new_pack_name(), after);
        while load.wants_more() {
            let (shared, from) = (Arc::clone(self), load.after.clone());
            let owned = blocking(move || shared.owned_bodies(&from)).await?;
            load.ended = owned.is_empty();
            for (key, body) in owned {
                if !load.wants_more() {
                    break;
                }
                load.after.clone_from(&key);
                match body {
                    Some(body) => self.load_body(&mut load, key, body).await?,
                    None => load.leave_behind("its row cannot be read"),
                }
            }
        }
        Ok(load)
    }

    /// The next rows of owners after a key; `None` for one that cannot be read.
    fn owned_bodies(&self, after: &[u8]) -> Result<Vec<KeyedBody>, StoreError> {
        let mut owned = Vec::new();
        let end = after_prefix(vec![OWNER]);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.engine.scan(Table::Fresh, (Bound::Excluded(after), end), |key, row| {
            owned.push((key.to_vec(), OwnedBody::decode(key, row)));
            owned.len() < LOOKUP_MESSAGES
        })?;
        Ok(owned)
    }

    /// Adds one message and those of its contents that have no settled place. On damage it stays fresh.
    async fn load_body(self: &Arc<Self>, load: &mut Load, key: Vec<u8>, body: OwnedBody) -> Result<(), StoreError> {
        let mut sources = Vec::new();
        for content in body.manifest.named().filter(|content| !load.seen.contains(&content.id)) {
            match self.source(content).await {
                Ok(source) => sources.push((content, source)),
                Err(StoreError::Damaged(what)) => {
                    load.leave_behind(&what);
                    return Ok(());
                }
                Err(other) => return Err(other),
            }
        }
        sources.into_iter().for_each(|(content, source)| load.add(content, source));
        load.totals.add(&body.manifest);
        load.builder.add_body(&body);
        load.batch.delete(Table::Fresh, key);
        Ok(())
    }

    /// Where a content is, and what has to be done about it.
    async fn source(self: &Arc<Self>, content: Named) -> Result<Source, StoreError> {
        let shared = Arc::clone(self);
        let (settled, fresh, staged) = blocking(move || shared.places(content)).await?;
        let now = self.clock.now();
        let move_to = match (&settled, staged.first()) {
            (Some(settled), _) if self.generations.may_link(settled.pack.generation, now) => Move::None,
            (_, Some(sole)) if content.octets > SOLE_CONTENT_OCTETS_MIN => Move::Settle(*sole),
            (_, Some(staged)) => Move::Copy(self.whole_content(staged).await?),
            (Some(settled), None) if !fresh => Move::Copy(self.whole_content(settled).await?),
            (_, None) => Move::Copy(self.fresh_content(content).await?),
        };
        Ok(Source { move_to, fresh, staged })
    }

    fn places(&self, content: Named) -> Result<(Option<Location>, bool, Vec<Location>), StoreError> {
        let settled = self.engine.get(Table::Location, settled_key(content.id))?;
        let settled = settled.map(|row| Location::decode(content.id, &row)).transpose()?;
        let fresh = self.engine.get(Table::Fresh, frame_key(content.id, 0))?.is_some();
        Ok((settled, fresh, self.staged(content.id)?))
    }

    /// A stored content as it is to be written again, its frames verified.
    pub(super) async fn whole_content(self: &Arc<Self>, location: &Location) -> Result<Content, StoreError> {
        let numbers = 0..frames_of(location.content.octets) as usize;
        let frames = self.stored(location, &numbers).await?;
        let missing = || StoreError::Damaged(format!("{} is missing", location.pack));
        verified(Content { name: location.content, frames: frames.ok_or_else(missing)? })
    }

    async fn fresh_content(self: &Arc<Self>, content: Named) -> Result<Content, StoreError> {
        let shared = Arc::clone(self);
        blocking(move || {
            let numbers = 0..frames_of(content.octets) as usize;
            let frames = shared.fresh_frames(content.id, &numbers)?;
            if frames.len() == numbers.len() {
                return verified(Content { name: content, frames });
            }
            Err(StoreError::Damaged(format!("content {} is missing", content.id)))
        })
        .await
    }

    /// Writes the pack, then the batch, then removes what the batch has emptied.
    async fn ship(self: &Arc<Self>, load: Load) -> Result<Packed, StoreError> {
        let Load { builder, mut batch, left_by, totals, mut packed, .. } = load;
        if builder.is_empty() {
            return Ok(packed);
        }
        failpoint::reach("pack.gathered");
        let pack = builder.finish();
        self.put_pack(&pack, &mut batch).await?;
        failpoint::reach("pack.written");
        let shared = Arc::clone(self);
        let emptied = blocking(move || {
            let emptied = shared.leave(&left_by, &mut batch)?;
            let mut all = Totals::decode(shared.engine.get(Table::System, PACKED_KEY)?.as_deref());
            all.join(totals);
            all.put(&mut batch);
            shared.engine.commit(batch, Durability::Synced)?;
            Ok(emptied)
        })
        .await?;
        failpoint::reach("pack.committed");
        for name in emptied {
            self.objects.delete(&name.to_string()).await?;
        }
        failpoint::reach("pack.cleaned");
        packed.packs = 1;
        packed.messages = totals.messages;
        packed.duplicates = totals.parts - packed.parts;
        packed.octets = pack.octets;
        let Packed { messages, parts, duplicates, octets, .. } = packed;
        info!(pack = %pack.name, messages, parts, duplicates, octets, "packed");
        Ok(packed)
    }

    pub(super) async fn put_pack(&self, pack: &Pack, batch: &mut Batch) -> Result<(), StoreError> {
        self.objects.put(&pack.name.to_string(), pack.payload.clone()).await?;
        pack.locations.iter().for_each(|location| location.settle(batch));
        PackRow::new(pack.octets, &pack.locations).put(pack.name, batch);
        Ok(())
    }

    /// Counts contents out of the staged objects that they left; those with none left are returned.
    fn leave(&self, left_by: &HashMap<PackName, u32>, batch: &mut Batch) -> Result<Vec<PackName>, StoreError> {
        let mut emptied = Vec::new();
        for (name, contents) in left_by {
            let row = self.engine.get(Table::Location, pack_key(*name))?;
            let Some(row) = row.as_deref().and_then(PackRow::decode) else { continue };
            let left = row.left.saturating_sub(*contents);
            if left == 0 {
                batch.delete(Table::Location, pack_key(*name));
                emptied.push(*name);
            } else {
                PackRow { left, ..row }.put(*name, batch);
            }
        }
        Ok(emptied)
    }
}

/// The content, once each of its frames is verified.
pub(super) fn verified(content: Content) -> Result<Content, StoreError> {
    content.frames.iter().enumerate().try_for_each(|(number, frame)| frame.verify(content.name.id, number))?;
    Ok(content)
}

/// Where a content was found.
struct Source {
    move_to: Move,
    fresh: bool,
    staged: Vec<Location>,
}

/// How a content gets its settled place.
enum Move {
    /// It has one.
    None,
    /// Its staged object becomes its place.
    Settle(Location),
    /// It is written into the pack.
    Copy(Content),
}

/// One pack in the making and the batch that goes with it.
struct Load {
    builder: PackBuilder,
    batch: Batch,
    /// Contents dealt with.
    seen: HashSet<ContentId>,
    /// How many contents leave each staged object.
    left_by: HashMap<PackName, u32>,
    totals: Totals,
    packed: Packed,
    /// The last row of an owner that was looked at.
    after: Vec<u8>,
    ended: bool,
}

impl Load {
    fn new(name: PackName, after: Vec<u8>) -> Self {
        Self {
            builder: PackBuilder::new(name),
            batch: Batch::of(Domain::Installation),
            seen: HashSet::new(),
            left_by: HashMap::new(),
            totals: Totals::default(),
            packed: Packed::default(),
            after,
            ended: false,
        }
    }

    fn wants_more(&self) -> bool {
        let full = self.builder.octets() >= PACK_OCTETS_TARGET || self.totals.messages >= PACK_MESSAGES_MAX;
        !self.ended && !full && self.batch.octets() < GROUP_OCTETS_MAX
    }

    fn leave_behind(&mut self, what: &str) {
        warn!(%what, "a message is not packed");
        self.packed.damaged += 1;
    }

    fn add(&mut self, content: Named, source: Source) {
        if !self.seen.insert(content.id) {
            return;
        }
        let moved = !matches!(source.move_to, Move::None);
        self.packed.parts += u64::from(moved && content.kind == Kind::Part);
        let mut kept = None;
        match source.move_to {
            Move::None => {}
            Move::Settle(sole) => {
                sole.settle(&mut self.batch);
                kept = Some(sole.pack);
            }
            Move::Copy(content) => drop(self.builder.add(&content)),
        }
        for staged in source.staged {
            staged.unstage(&mut self.batch);
            if kept != Some(staged.pack) {
                *self.left_by.entry(staged.pack).or_default() += 1;
            }
        }
        if source.fresh {
            let frames = u32::try_from(frames_of(content.octets)).unwrap_or(u32::MAX);
            (0..frames).for_each(|number| self.batch.delete(Table::Fresh, frame_key(content.id, number)));
        }
    }
}
