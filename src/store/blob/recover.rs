//! Locations held against the indexes of packs, and what packs know of messages.

use super::{
    Blobs, Shared,
    manifest::Manifest,
    pages::Pages,
    read::blocking,
    rows::{Location, OwnedBody, PACKS, PackName, PackRow, STAGED, frame_key, id_key, id_of_key, settled_key},
};
use crate::{
    mail::{AccountId, ContentId, MessageNumber},
    store::{
        StoreError,
        metadata::{Engine, Table, View},
    },
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

/// How rows of locations and objects agree with the objects.
#[derive(Debug, Default)]
pub(in crate::store) struct LocationReport {
    /// Rows and contents of packs compared.
    pub(in crate::store) compared: u64,
    /// Rows that say what no pack says, and what is wrong with each: the packs can tell what is right.
    pub(in crate::store) wrong: Vec<(String, String)>,
    /// Contents asked for that a pack has.
    pub(in crate::store) found: HashSet<ContentId>,
    /// Objects that were compared with rows.
    pub(in crate::store) objects: u64,
    /// Packs whose index cannot be read.
    pub(in crate::store) damaged: Vec<(String, String)>,
    /// Objects that rows name and that are gone.
    pub(in crate::store) missing: Vec<String>,
    /// Objects that no row names, with their octets.
    pub(in crate::store) orphans: Vec<(String, u64)>,
}

/// Whether a content has a place in a view: fresh, staged or settled.
pub(in crate::store) fn has_place(view: &View<'_>, id: ContentId) -> Result<bool, StoreError> {
    if view.get(Table::Location, settled_key(id))?.is_some() || view.get(Table::Fresh, frame_key(id, 0))?.is_some() {
        return Ok(true);
    }
    let mut staged = false;
    view.scan_prefix(Table::Location, &id_key(STAGED, id), |_, _| {
        staged = true;
        false
    })?;
    Ok(staged)
}

impl Manifest {
    /// The contents that are stored: those without octets are not.
    pub(in crate::store) fn stored_contents(&self) -> impl Iterator<Item = ContentId> {
        self.named().map(|named| named.id)
    }
}

impl Blobs {
    /// Holds every location against the index of its pack; says which of `wanted` packs have besides.
    pub(in crate::store) async fn compare_locations(
        &self,
        wanted: &HashSet<ContentId>,
    ) -> Result<LocationReport, StoreError> {
        Comparing::start(&self.0).await?.run(wanted).await
    }

    /// Calls `visit` with each message that packs or fresh rows name, pack by pack, the oldest generation first;
    /// a message may come twice.
    pub(in crate::store) async fn visit_bodies(
        &self,
        mut visit: impl FnMut(OwnedBody) + Send,
    ) -> Result<(), StoreError> {
        let mut pages = Pages::owners();
        while let Some(rows) = self.0.page(&mut pages).await? {
            rows.iter().filter_map(|(key, row)| OwnedBody::decode(key, row)).for_each(&mut visit);
        }
        for (name, _) in self.0.listed_packs().await? {
            match self.0.footer(name).await {
                Ok(footer) => footer.bodies.into_iter().for_each(&mut visit),
                Err(StoreError::Damaged(what)) => tracing::warn!(%what, "messages of this pack are not known"),
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// The bodies of these messages, as far as packs or fresh rows name them.
    pub(in crate::store) async fn bodies_of(
        &self,
        account: AccountId,
        numbers: &BTreeSet<MessageNumber>,
    ) -> Result<HashMap<MessageNumber, OwnedBody>, StoreError> {
        let mut found = HashMap::new();
        self.visit_bodies(|body| {
            if body.owner.account == account && numbers.contains(&body.owner.number) {
                found.insert(body.owner.number, body);
            }
        })
        .await?;
        Ok(found)
    }
}

impl Shared {
    /// Every pack that there is with its octets, oldest generation first.
    pub(super) async fn listed_packs(&self) -> Result<Vec<(PackName, u64)>, StoreError> {
        let listed = self.objects.list(PACKS).await?;
        let named = |(name, octets): (String, u64)| PackName::parse(&name).map(|name| (name, octets));
        let mut packs: Vec<(PackName, u64)> = listed.into_iter().filter_map(named).collect();
        packs.sort_unstable();
        Ok(packs)
    }
}

/// A comparison of locations under way.
struct Comparing {
    shared: Arc<Shared>,
    report: LocationReport,
    /// How many settled rows point at each pack, and how many of them its index has borne out.
    pointing: HashMap<PackName, (u64, u64)>,
    rows: HashMap<PackName, PackRow>,
    objects: HashMap<PackName, u64>,
}

impl Comparing {
    async fn start(shared: &Arc<Shared>) -> Result<Self, StoreError> {
        let mut comparing = Self {
            shared: Arc::clone(shared),
            report: LocationReport::default(),
            pointing: HashMap::new(),
            rows: HashMap::new(),
            objects: HashMap::new(),
        };
        // Rows first: an object is there before its row.
        comparing.read_rows().await?;
        comparing.objects = shared.listed_packs().await?.into_iter().collect();
        Ok(comparing)
    }

    async fn read_rows(&mut self) -> Result<(), StoreError> {
        let mut pages = Pages::settled();
        while let Some(rows) = self.shared.page(&mut pages).await? {
            for (key, row) in rows {
                self.report.compared += 1;
                match id_of_key(&key).map(|id| (id, Location::decode(id, &row))) {
                    Some((_, Ok(location))) => self.pointing.entry(location.pack).or_default().0 += 1,
                    Some((id, Err(_))) => self.wrong(id, "its location cannot be read"),
                    None => {}
                }
            }
        }
        let mut pages = Pages::packs();
        while let Some(rows) = self.shared.page(&mut pages).await? {
            for (key, row) in rows {
                let Some(name) = PackName::of_key(&key) else { continue };
                match PackRow::decode(&row) {
                    Some(row) => drop(self.rows.insert(name, row)),
                    None => {
                        self.report.wrong.push((name.to_string(), "the row of the object cannot be read".to_owned()))
                    }
                }
            }
        }
        Ok(())
    }

    fn wrong(&mut self, content: ContentId, what: &str) {
        self.report.wrong.push((format!("content {content}"), what.to_owned()));
    }

    async fn run(mut self, wanted: &HashSet<ContentId>) -> Result<LocationReport, StoreError> {
        let staged = self.shared.staged_packs().await?;
        let mut names: Vec<(PackName, u64)> = self.objects.iter().map(|(name, octets)| (*name, *octets)).collect();
        names.sort_unstable();
        for (name, octets) in names {
            self.report.objects += 1;
            match self.shared.footer(name).await {
                Ok(footer) => self.footer(name, octets, footer.locations, &staged, wanted).await?,
                Err(StoreError::Damaged(what)) => self.report.damaged.push((name.to_string(), what)),
                Err(other) => return Err(other),
            }
        }
        self.unfounded(&staged).await?;
        self.gone().await?;
        self.report.orphans.sort();
        Ok(self.report)
    }

    /// Holds the rows of a pack's contents against its index.
    async fn footer(
        &mut self,
        name: PackName,
        octets: u64,
        locations: Vec<Location>,
        staged: &HashSet<PackName>,
        wanted: &HashSet<ContentId>,
    ) -> Result<(), StoreError> {
        let count = locations.len();
        self.report.compared += count as u64;
        let engine = self.shared.engine.clone();
        let rows = blocking(move || rows_of(&engine, locations)).await?;
        let mut founded = 0;
        for (location, row) in &rows {
            match row {
                Some(row) if row == location => founded += 1,
                Some(row) if row.pack == name => {
                    self.wrong(location.content.id, "its location is not where its pack has it")
                }
                // It is in another pack too, or in none that a row names: dedup, a sweep or a crash leaves that.
                _ => {}
            }
            if wanted.contains(&location.content.id) {
                self.report.found.insert(location.content.id);
            }
        }
        self.pointing.entry(name).or_default().1 += founded;
        let is_settled = !staged.contains(&name);
        match self.rows.get(&name) {
            Some(row) if is_settled && row.octets != octets => {
                let what = format!("its row says {} octets, it has {octets}", row.octets);
                self.report.wrong.push((name.to_string(), what));
            }
            None if founded > 0 => {
                self.report.wrong.push((name.to_string(), "the row of the object is missing".to_owned()))
            }
            None if is_settled => self.report.orphans.push((name.to_string(), octets)),
            _ => {}
        }
        Ok(())
    }

    /// Rows that point at a pack whose index does not have them.
    async fn unfounded(&mut self, staged: &HashSet<PackName>) -> Result<(), StoreError> {
        let damaged: HashSet<&String> = self.report.damaged.iter().map(|(name, _)| name).collect();
        let suspect: HashSet<PackName> = (self.pointing.iter())
            .filter(|(name, (rows, founded))| rows > founded && !damaged.contains(&name.to_string()))
            .map(|(name, _)| *name)
            .collect();
        if suspect.is_empty() {
            return Ok(());
        }
        let mut held: HashSet<(PackName, ContentId)> = HashSet::new();
        for name in suspect.iter().filter(|name| self.objects.contains_key(name)) {
            let footer = self.shared.footer(*name).await?;
            held.extend(footer.locations.iter().map(|location| (*name, location.content.id)));
        }
        let mut pages = Pages::settled();
        while let Some(rows) = self.shared.page(&mut pages).await? {
            for location in rows.iter().filter_map(Location::of_row) {
                let (name, id) = (location.pack, location.content.id);
                if suspect.contains(&name) && !held.contains(&(name, id)) && !staged.contains(&name) {
                    self.wrong(id, &format!("its location names {name}, which does not have it"));
                }
            }
        }
        Ok(())
    }

    /// Objects that rows name and that are not there, unless row and object went meanwhile.
    async fn gone(&mut self) -> Result<(), StoreError> {
        let gone: Vec<PackName> = self.rows.keys().filter(|name| !self.objects.contains_key(name)).copied().collect();
        for name in gone {
            let engine = self.shared.engine.clone();
            let row = blocking(move || engine.get(Table::Location, super::rows::pack_key(name))).await?;
            if row.is_some() && self.shared.objects.octets(&name.to_string()).await?.is_none() {
                self.report.missing.push(name.to_string());
            }
        }
        self.report.missing.sort();
        Ok(())
    }
}

/// The settled row of each content, where there is one that can be read.
fn rows_of(engine: &Engine, locations: Vec<Location>) -> Result<Vec<(Location, Option<Location>)>, StoreError> {
    let keys: Vec<Vec<u8>> = locations.iter().map(|location| settled_key(location.content.id)).collect();
    let rows = engine.multi_get(Table::Location, &keys)?;
    let decode = |location: &Location, row: Option<bytes::Bytes>| {
        row.and_then(|row| Location::decode(location.content.id, &row).ok())
    };
    Ok(locations.into_iter().zip(rows).map(|(location, row)| (location, decode(&location, row))).collect())
}
