//! A mailbox in memory: its header and its blocks of rows.

use super::{
    Inner, StoreError,
    block::Block,
    cache::Weigh,
    key::Place,
    mailbox::{MailboxStatus, Row},
    metadata::{Table, View},
    vanished::LogBounds,
};
use crate::mail::{Keyword, MailboxId, ModSeq, Uid, UidValidity};
use bytes::Bytes;
use std::sync::Arc;

/// Version of the header's encoding; its first octet.
const VERSION: u8 = 1;

/// What the header row of a mailbox keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) status: MailboxStatus,
    pub(super) log: LogBounds,
}

type HeaderRow<'a> = ((u32, u32, u32, u64, u64), (u32, u32, u64), (u32, u64), Vec<&'a str>);

impl Header {
    /// A new mailbox's.
    pub(super) fn new(uid_validity: UidValidity, modseq: ModSeq) -> Self {
        let status = MailboxStatus {
            exists: 0,
            unseen: 0,
            deleted: 0,
            deleted_octets: 0,
            octets: 0,
            uid_next: Uid::FIRST,
            uid_validity,
            highest_modseq: modseq,
            keywords: Vec::new(),
        };
        Self { status, log: LogBounds::default() }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let status = &self.status;
        let row: HeaderRow<'_> = (
            (status.exists, status.unseen, status.deleted, status.deleted_octets, status.octets),
            (status.uid_next.get(), status.uid_validity.get(), status.highest_modseq.get()),
            (self.log.rows, self.log.behind.map_or(0, ModSeq::get)),
            status.keywords.iter().map(Keyword::as_str).collect(),
        );
        postcard::to_extend(&row, vec![VERSION]).expect("numbers and texts always encode")
    }

    pub(super) fn decode(octets: &[u8]) -> Result<Self, StoreError> {
        Self::read(octets).ok_or_else(|| StoreError::Damaged("the header of a mailbox".to_owned()))
    }

    fn read(octets: &[u8]) -> Option<Self> {
        let row: HeaderRow<'_> = postcard::from_bytes(octets.strip_prefix(&[VERSION])?).ok()?;
        let (
            (exists, unseen, deleted, deleted_octets, octets),
            (uid_next, uid_validity, modseq),
            (rows, behind),
            keywords,
        ) = row;
        let status = MailboxStatus {
            exists,
            unseen,
            deleted,
            deleted_octets,
            octets,
            uid_next: Uid::new(uid_next)?,
            uid_validity: UidValidity::new(uid_validity)?,
            highest_modseq: ModSeq::new(modseq)?,
            keywords: keywords.into_iter().map(Keyword::new).collect::<Option<_>>()?,
        };
        Some(Self { status, log: LogBounds { rows, behind: ModSeq::new(behind) } })
    }
}

/// Header and blocks of a mailbox. Clones share the blocks.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) header: Header,
    /// By rising number; no block is empty.
    pub(super) blocks: Vec<(u32, Arc<Block>)>,
}

impl State {
    pub(super) fn new(header: Header) -> Self {
        Self { header, blocks: Vec::new() }
    }

    fn position(&self, block: u32) -> Result<usize, usize> {
        self.blocks.binary_search_by_key(&block, |(number, _)| *number)
    }

    pub(super) fn block(&self, block: u32) -> Option<&Block> {
        self.position(block).ok().and_then(|at| self.blocks.get(at)).map(|(_, block)| &**block)
    }

    pub(super) fn row(&self, uid: Uid) -> Option<&Row> {
        self.block(super::block::block_of(uid))?.get(uid)
    }

    pub(super) fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> {
        self.blocks.iter().flat_map(|(_, block)| &block.rows)
    }

    /// Changes the rows of a block, which others that share it do not see. An empty block goes.
    pub(super) fn edit(&mut self, number: u32, edit: impl FnOnce(&mut Vec<Row>)) {
        let at = self.position(number).unwrap_or_else(|at| {
            self.blocks.insert(at, (number, Arc::default()));
            at
        });
        let Some((_, block)) = self.blocks.get_mut(at) else { return };
        Arc::make_mut(block).edit(edit);
        if block.rows.is_empty() {
            self.blocks.remove(at);
        }
    }

    /// Reads a mailbox from its rows as a view shows them; with the octets of its header row.
    pub(super) fn load(view: &View<'_>, place: Place, mailbox: MailboxId) -> Result<(Self, Bytes), StoreError> {
        let header = view.get(Table::Mailbox, place.header(mailbox))?.ok_or(StoreError::NoMailbox)?;
        let mut state = Self::new(Header::decode(&header)?);
        let prefix = place.blocks(mailbox);
        let mut columns = Columns::default();
        view.scan_prefix(Table::Row, &prefix, |key, value| {
            let column = key.get(prefix.len()..).unwrap_or_default();
            state.blocks.extend(columns.add(column, value));
            columns.fault.is_none()
        })?;
        match columns.end() {
            Some(fault) => Err(fault),
            None => Ok((state, header)),
        }
    }
}

impl Weigh for State {
    fn octets(&self) -> usize {
        256 + self.blocks.len() * 64 + self.header.status.exists as usize * size_of::<Row>()
    }
}

/// Puts the two values of each block together, as a scan gives them.
#[derive(Default)]
struct Columns {
    fixed: Option<(u32, Vec<u8>)>,
    fault: Option<StoreError>,
}

impl Columns {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Option<(u32, Arc<Block>)> {
        let (number, column) = key.split_first_chunk::<4>()?;
        let number = u32::from_be_bytes(*number);
        match (column, self.fixed.take()) {
            (b"f", None) => self.fixed = Some((number, value.to_vec())),
            (b"v", Some((of, fixed))) if of == number => match Block::read(number, &fixed, value) {
                Ok(block) => return Some((number, Arc::new(block))),
                Err(fault) => self.fault = Some(fault),
            },
            (_, _) => self.fault = Some(lost_column(number)),
        }
        None
    }

    /// What was wrong, once there are no more values.
    fn end(self) -> Option<StoreError> {
        self.fault.or_else(|| self.fixed.map(|(number, _)| lost_column(number)))
    }
}

fn lost_column(block: u32) -> StoreError {
    StoreError::Damaged(format!("block {block} of rows has lost a column"))
}

impl Inner {
    /// The mailbox, read from its rows where it is not in memory.
    pub(super) fn open_mailbox(
        &self,
        account: crate::mail::AccountId,
        mailbox: MailboxId,
    ) -> Result<Arc<State>, StoreError> {
        if let Some(state) = self.mailboxes.get(&(account, mailbox)) {
            return Ok(state);
        }
        // The rows of a removed account may still be there.
        if matches!(self.account(account), Err(StoreError::NoAccount)) {
            return Err(StoreError::NoMailbox);
        }
        let place = self.place(account);
        let (state, header) = State::load(&self.engine.view(), place, mailbox)?;
        self.mailboxes.keep((account, mailbox), Arc::new(state), || {
            Ok(self.engine.get(Table::Mailbox, place.header(mailbox))? == Some(header))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back() {
        let mut header = Header::new(UidValidity::new(7).unwrap(), ModSeq::new(1 << 40).unwrap());
        assert_eq!(Header::decode(&header.encode()).unwrap(), header);
        header.status.keywords = ["$Forwarded", "x"].map(|name| Keyword::new(name).unwrap()).to_vec();
        header.status.octets = 1 << 50;
        header.log = LogBounds { rows: 3, behind: ModSeq::new(9) };
        assert_eq!(Header::decode(&header.encode()).unwrap(), header);
        assert!(matches!(Header::decode(&[]), Err(StoreError::Damaged(_))));
        assert!(matches!(Header::decode(&[9; 40]), Err(StoreError::Damaged(_))));
    }
}
