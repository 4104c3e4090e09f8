//! Repacking: what is kept of old packs goes into a new one, and the old ones are retired.

use super::{
    super::{
        Shared,
        frame::{Content, frames_of},
        pack::{PackBuilder, RecordHead},
        packer::verified,
        read::blocking,
        rows::{Location, OwnedBody, PACKED_KEY, PackName, PackRow, Since, Totals},
        rows::{pack_key, retired_key, settled_key, since_key, staged_key},
    },
    Candidate, Outside, Plan, Swept, Write,
};
use crate::{
    clock::UnixMillis,
    limits::{PACK_OCTETS_TARGET, REPACK_CONTENTS_MAX, REPACK_OBJECTS_MAX},
    store::{
        StoreError, failpoint,
        metadata::{Batch, Domain, Durability, Table},
    },
};
use bytes::Bytes;
use std::sync::Arc;
use tracing::warn;

/// What has to be done with one object.
struct Judged {
    name: PackName,
    row: PackRow,
    /// Contents that have their place here and keep one.
    kept: Vec<Location>,
    /// Contents that have their place here and go.
    gone: Vec<Location>,
    /// Messages that it names and that are there.
    bodies: Vec<OwnedBody>,
    /// Messages that it names and that are not.
    gone_bodies: Vec<OwnedBody>,
}

impl Judged {
    fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.bodies.is_empty()
    }

    fn is_worth_it(&self) -> bool {
        let kept = self.kept.iter().map(|location| location.stored_octets).sum();
        let names_few = self.bodies.len() < self.gone_bodies.len();
        self.is_empty() || self.row.is_mostly_gone(kept) || (self.row.content_octets == 0 && names_few)
    }
}

/// One pack in the making, and the batch that goes with it.
struct Moving {
    builder: PackBuilder,
    batch: Batch,
    totals_gone: Vec<OwnedBody>,
    contents: usize,
    objects: usize,
}

impl Moving {
    fn has_room(&self) -> bool {
        self.builder.octets() < PACK_OCTETS_TARGET
            && self.contents < REPACK_CONTENTS_MAX
            && self.objects < REPACK_OBJECTS_MAX
    }

    fn add(&mut self, judged: Judged, kept: &[Content], due: UnixMillis) {
        self.contents += judged.kept.len() + judged.gone.len();
        self.objects += 1;
        for content in kept {
            self.builder.add(content);
        }
        judged.bodies.iter().for_each(|body| self.builder.add_body(body));
        judged.gone.iter().for_each(|location| location.forget(&mut self.batch));
        self.batch.delete(Table::Location, pack_key(judged.name));
        Since(due).put(retired_key(judged.name), &mut self.batch);
        self.totals_gone.extend(judged.gone_bodies);
    }
}

impl Shared {
    /// Takes candidates until a pack is full or none is left, and moves what is kept of them.
    pub(super) async fn repack(
        self: &Arc<Self>,
        plan: &Plan,
        outside: &Arc<dyn Outside>,
        candidates: &mut impl Iterator<Item = Candidate>,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let _turn = self.packing.lock().await;
        let builder = PackBuilder::new(self.new_pack_name());
        let mut moving = Moving {
            builder,
            batch: Batch::of(Domain::Installation),
            totals_gone: Vec::new(),
            contents: 0,
            objects: 0,
        };
        while moving.has_room() {
            let Some(candidate) = candidates.next() else { break };
            let name = candidate.name;
            match self.take(plan, outside, candidate, &mut moving, swept).await {
                Err(StoreError::Damaged(what)) => {
                    warn!(object = %name, %what, "not swept");
                    swept.damaged += 1;
                }
                taken => taken?,
            }
        }
        if plan.write == Write::Yes && moving.objects > 0 { self.move_over(moving).await } else { Ok(()) }
    }

    /// Adds one object, unless a second look shows that more of it is kept, or that it is in use.
    async fn take(
        self: &Arc<Self>,
        plan: &Plan,
        outside: &Arc<dyn Outside>,
        candidate: Candidate,
        moving: &mut Moving,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let Some(judged) = self.judge(plan, outside, candidate).await? else { return Ok(()) };
        if !judged.is_worth_it() {
            return Ok(());
        }
        let is_empty = judged.is_empty();
        let (removed, freed) = (judged.gone.len() as u64, judged.row.octets);
        let moved: u64 = judged.kept.iter().map(|location| location.stored_octets).sum();
        if plan.write == Write::Yes {
            let kept = self.kept_contents(&judged).await?;
            moving.add(judged, &kept, if is_empty { plan.now } else { plan.retire_until });
        }
        swept.removed += removed;
        swept.freed_octets += freed;
        swept.moved_octets += moved;
        swept.dropped += u64::from(is_empty);
        swept.repacked += u64::from(!is_empty);
        Ok(())
    }

    /// Looks at each content of the object; `None` where a delivery that is not packed yet has one in it.
    async fn judge(
        self: &Arc<Self>,
        plan: &Plan,
        outside: &Arc<dyn Outside>,
        candidate: Candidate,
    ) -> Result<Option<Judged>, StoreError> {
        let Candidate { name, row } = candidate;
        let footer = self.footer(name).await?;
        let (shared, plan, outside) = (Arc::clone(self), plan.clone(), Arc::clone(outside));
        blocking(move || {
            let (bodies, gone_bodies) = (Vec::new(), Vec::new());
            let mut judged = Judged { name, row, kept: Vec::new(), gone: Vec::new(), bodies, gone_bodies };
            for location in footer.locations {
                if shared.engine.get(Table::Location, staged_key(location.content.id, name))?.is_some() {
                    return Ok(None);
                }
                if shared.is_settled_at(&location)? {
                    let goes = shared.may_go(&plan, &location)?;
                    (if goes { &mut judged.gone } else { &mut judged.kept }).push(location);
                }
            }
            for body in footer.bodies {
                let stays = outside.has_record(body.owner.account, body.owner.number)?;
                (if stays { &mut judged.bodies } else { &mut judged.gone_bodies }).push(body);
            }
            Ok(Some(judged))
        })
        .await
    }

    fn is_settled_at(&self, location: &Location) -> Result<bool, StoreError> {
        let id = location.content.id;
        let row = self.engine.get(Table::Location, settled_key(id))?;
        Ok(row.map(|row| Location::decode(id, &row)).transpose()?.as_ref() == Some(location))
    }

    /// Whether this sweep has found the content without a reference, and an earlier one long enough ago.
    fn may_go(&self, plan: &Plan, location: &Location) -> Result<bool, StoreError> {
        let row = self.engine.get(Table::Location, since_key(location.content.id))?;
        let since = row.as_deref().and_then(Since::decode);
        let is_pinned = plan.pinned.contains(&location.content.id);
        Ok(!is_pinned && since.is_some_and(|since| plan.is_expired(since.0)))
    }

    /// The contents that are kept, each verified. An object of usual size is read at once.
    async fn kept_contents(self: &Arc<Self>, judged: &Judged) -> Result<Vec<Content>, StoreError> {
        let mut contents = Vec::with_capacity(judged.kept.len());
        let whole = if judged.row.octets <= 2 * PACK_OCTETS_TARGET && !judged.kept.is_empty() {
            self.objects.get_range(&judged.name.to_string(), 0..judged.row.octets).await?
        } else {
            None
        };
        for location in &judged.kept {
            contents.push(match &whole {
                Some(object) => content_in(object, location)?,
                None => self.whole_content(location).await?,
            });
        }
        Ok(contents)
    }

    /// Writes the pack, then the batch that moves contents there and retires where they were.
    async fn move_over(self: &Arc<Self>, moving: Moving) -> Result<(), StoreError> {
        let Moving { builder, mut batch, totals_gone, .. } = moving;
        if !builder.is_empty() {
            let pack = builder.finish();
            self.put_pack(&pack, &mut batch).await?;
            failpoint::reach("sweep.repacked");
        }
        let shared = Arc::clone(self);
        blocking(move || {
            let mut totals = Totals::decode(shared.engine.get(Table::System, PACKED_KEY)?.as_deref());
            totals_gone.iter().for_each(|body| totals.remove(&body.manifest));
            totals.put(&mut batch);
            shared.engine.commit(batch, Durability::Synced)
        })
        .await?;
        failpoint::reach("sweep.committed");
        Ok(())
    }
}

/// A content of an object whose octets are at hand, as it is to be written again.
fn content_in(object: &Bytes, location: &Location) -> Result<Content, StoreError> {
    let damaged = || StoreError::Damaged(format!("record of content {}", location.content.id));
    let start = usize::try_from(location.offset).map_err(|_| damaged())?;
    let end = usize::try_from(location.offset + location.stored_octets).map_err(|_| damaged())?;
    if end > object.len() || start > end {
        return Err(damaged());
    }
    let record = object.slice(start..end);
    let numbers = 0..frames_of(location.content.octets) as usize;
    let frames = RecordHead::read(location, &record)?.frames(&numbers, &record, 0).ok_or_else(damaged)?;
    verified(Content { name: location.content, frames })
}
