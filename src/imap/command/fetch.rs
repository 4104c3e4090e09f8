//! FETCH and UID FETCH (RFC 9051 §6.4.5), with CHANGEDSINCE (RFC 7162 §3.1.4).
//!
//! Messages are looked up in batches, and no snapshot is held while a client takes its time. `\Seen` is set batch by
//! batch before the batch is sent, so that its FLAGS can be in the same response.

use super::{
    super::{
        fetch::{
            body::Source,
            envelope,
            item::{Item, read_items},
            row,
            structure::{self, Extension},
        },
        parser::{Parsed, Parser},
        response::{Completion, Failure, Outcome, Refusal},
        selected::Access,
        sequence::{Addressing, SequenceNumber, SequenceSet},
        session::{Features, Session},
        view::{Cursor, Selection},
        wire::Wire,
        write::FlagNames,
    },
    Command,
};
use crate::{
    limits,
    mail::{AccountId, Flag, Flags, ModSeq, SystemFlags},
    store::{FlagChange, FlagMode, Row, Store, StoreError},
};
use std::io;

/// Arguments of FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fetch {
    /// Which messages.
    pub(crate) set: SequenceSet,
    /// How they are named.
    pub(crate) addressing: Addressing,
    /// What is asked of each.
    pub(crate) items: Vec<Item>,
    /// Only messages changed since; `Some(None)` is zero.
    pub(crate) changed_since: Option<Option<ModSeq>>,
}

/// Reads `SP sequence-set SP items [SP "(" CHANGEDSINCE n ")"]`.
pub(super) fn read(parser: &mut Parser<'_>, addressing: Addressing) -> Parsed<Command> {
    parser.space()?;
    let set = parser.sequence_set()?;
    parser.space()?;
    let items = read_items(parser)?;
    let mut changed_since = None;
    if parser.take(b' ') {
        parser.list1(|parser| {
            if !parser.word("CHANGEDSINCE") {
                return parser.expected("CHANGEDSINCE");
            }
            parser.space()?;
            changed_since = Some(parser.modseq()?);
            Ok(())
        })?;
    }
    Ok(Command::Fetch(Fetch { set, addressing, items, changed_since }))
}

/// One message of a batch.
struct Message {
    number: SequenceNumber,
    row: Row,
    seen: Marked,
}

/// Whether a message gained `\Seen` by being fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marked {
    /// It did, and the client is told.
    Now,
    /// It had it, or keeps being without.
    No,
}

/// What every message is asked for.
struct Plan {
    items: Vec<Item>,
    needs_record: bool,
    sets_seen: bool,
    shows_flags: bool,
    features: Features,
    account: AccountId,
    store: Store,
}

/// Answers FETCH.
pub(crate) async fn execute(fetch: Fetch, session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    let selection = select(&fetch, session)?;
    let expected = selection.len();
    let plan = plan(fetch, session, wire)?;
    let mut cursor = Cursor::new(selection);
    let (mut answered, mut refused) = (0, None);
    loop {
        let batch = next_batch(&plan, &mut cursor, session).await?;
        let Some((messages, names)) = batch else { break };
        answered += messages.len();
        for message in messages {
            if let Some(refusal) = push_message(&plan, &message, &names, wire).await? {
                refused = Some(refusal);
            }
            if message.seen == Marked::Now || plan.shows_flags {
                session.selected()?.note_sent(&message.row);
            }
            wire.flush_if_full().await?;
        }
        // A batch is a few hundred microseconds; others wait for this thread as well.
        tokio::task::yield_now().await;
    }
    match refused {
        Some(refusal) => Err(refusal.into()),
        None if answered < expected => {
            Ok(Completion::ok("FETCH completed; some messages are gone").with_code("EXPUNGEISSUED".into()))
        }
        None => Ok(Completion::ok("FETCH completed")),
    }
}

fn select(fetch: &Fetch, session: &mut Session) -> Result<Selection, Failure> {
    let snapshot = session.snapshot()?;
    let selected = session.selected()?;
    let selection = selected.view.select(&fetch.set, fetch.addressing, &selected.saved)?;
    Ok(match fetch.changed_since {
        None => selection,
        Some(modseq) => selected.view.narrow(&selection, snapshot.rows_changed_since(modseq).map(|row| row.uid)),
    })
}

fn plan(fetch: Fetch, session: &mut Session, wire: &mut Wire<'_>) -> Result<Plan, Failure> {
    let mut items = fetch.items;
    if fetch.addressing == Addressing::Uid && !items.contains(&Item::Uid) {
        items.insert(0, Item::Uid);
    }
    if fetch.changed_since.is_some() && !items.contains(&Item::ModSeq) {
        items.push(Item::ModSeq);
    }
    if items.contains(&Item::ModSeq) {
        session.enable_condstore(wire);
    }
    let writable = session.selected()?.access == Access::ReadWrite;
    Ok(Plan {
        needs_record: items.iter().any(Item::needs_record),
        sets_seen: writable && items.iter().any(Item::sets_seen),
        shows_flags: items.contains(&Item::Flags),
        items,
        features: session.features,
        account: session.account()?,
        store: session.services.store.clone(),
    })
}

/// Looks up the next messages; `None` at the end.
async fn next_batch(
    plan: &Plan,
    cursor: &mut Cursor,
    session: &mut Session,
) -> Result<Option<(Vec<Message>, FlagNames)>, Failure> {
    let most = if plan.needs_record { limits::IMAP_FETCH_BODIES } else { limits::IMAP_FETCH_ROWS };
    let Some(place) = cursor.next(most) else { return Ok(None) };
    let mut snapshot = session.snapshot()?;
    let selected = session.selected()?;
    let mut messages: Vec<Message> = Vec::with_capacity(most);
    if let Some((first, last)) = selected.view.ends(&place) {
        let rows = selected.view.numbered(&place, snapshot.rows_between(first, last), |row| row.uid);
        messages.extend(rows.map(|(number, row)| Message { number, row, seen: Marked::No }));
    }
    if plan.sets_seen && mark_seen(plan, &mut messages, session).await? {
        snapshot = session.snapshot()?;
        for message in &mut messages {
            if let Some(row) = snapshot.row(message.row.uid) {
                message.row = row;
            }
        }
    }
    let names = session.selected()?.flag_names(&snapshot, plan.features);
    Ok(Some((messages, names)))
}

/// Sets `\Seen` where it is missing; tells whether anything changed.
async fn mark_seen(plan: &Plan, messages: &mut [Message], session: &mut Session) -> Result<bool, Failure> {
    let unseen = messages.iter_mut().filter(|message| !message.row.flags.contains(SystemFlags::SEEN));
    let uids: Vec<_> = unseen
        .map(|message| {
            message.seen = Marked::Now;
            message.row.uid
        })
        .collect();
    if uids.is_empty() {
        return Ok(false);
    }
    let change = FlagChange { mode: FlagMode::Add, flags: Flags::from_iter([Flag::Seen]), unchanged_since: None };
    match plan.store.change_flags(plan.account, session.selected()?.mailbox, uids, change).await {
        Ok(_) => Ok(true),
        // Mail can be read while the disk is full.
        Err(StoreError::Full) => {
            messages.iter_mut().for_each(|message| message.seen = Marked::No);
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Writes one FETCH response. A message that cannot be shown is left out, and the reason returned.
async fn push_message(
    plan: &Plan,
    message: &Message,
    names: &FlagNames,
    wire: &mut Wire<'_>,
) -> Result<Option<Refusal>, Failure> {
    let (start, sent) = (wire.out.len(), wire.sent());
    row::push_start(&mut wire.out, message.number);
    let pushed = if plan.needs_record {
        push_items(plan, message, names, wire).await
    } else {
        push_row_items(plan, message, names, &mut wire.out);
        Ok(())
    };
    let refusal = match pushed {
        Ok(()) => {
            push_seen(plan, message, names, &mut wire.out);
            row::push_end(&mut wire.out);
            return Ok(None);
        }
        Err(Failure::No(refusal)) => Some(refusal),
        Err(Failure::Store(StoreError::Damaged(detail))) => {
            tracing::error!(account = %plan.account, message = %message.row.number, detail, "stored message is damaged");
            Some(Refusal::Damaged)
        }
        // Gone since the rows were looked up.
        Err(Failure::Store(StoreError::NoMessage)) => None,
        Err(failure) => return Err(failure),
    };
    if wire.sent() != sent {
        // Half of it is with the client, and the rest cannot follow.
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    }
    wire.out.truncate(start);
    Ok(refusal)
}

fn push_row_items(plan: &Plan, message: &Message, names: &FlagNames, out: &mut Vec<u8>) {
    for (index, item) in plan.items.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        row::push_item(out, item, &message.row, names);
    }
}

async fn push_items(plan: &Plan, message: &Message, names: &FlagNames, wire: &mut Wire<'_>) -> Result<(), Failure> {
    let record = plan.store.record(plan.account, message.row.number)?;
    let source = Source { store: &plan.store, record: &record };
    let charset = plan.features.charset();
    for (index, item) in plan.items.iter().enumerate() {
        if index > 0 {
            wire.out.push(b' ');
        }
        match item {
            Item::Envelope => {
                wire.out.extend_from_slice(b"ENVELOPE ");
                envelope::push(&mut wire.out, &record.analysis.envelope, charset);
            }
            Item::Body => {
                wire.out.extend_from_slice(b"BODY ");
                structure::push(&mut wire.out, &record.analysis.root, Extension::None, charset);
            }
            Item::BodyStructure => {
                wire.out.extend_from_slice(b"BODYSTRUCTURE ");
                structure::push(&mut wire.out, &record.analysis.root, Extension::Data, charset);
            }
            Item::Section(section) => source.push_section(section, wire).await?,
            Item::Binary(section) => source.push_binary(section, wire).await?,
            Item::BinarySize(path) => source.push_binary_size(path, wire).await?,
            Item::Uid | Item::Flags | Item::InternalDate | Item::Size | Item::ModSeq => {
                row::push_item(&mut wire.out, item, &message.row, names);
            }
        }
    }
    Ok(())
}

/// Tells of a `\Seen` that the client did not ask about (RFC 9051 §6.4.5).
fn push_seen(plan: &Plan, message: &Message, names: &FlagNames, out: &mut Vec<u8>) {
    if message.seen == Marked::No {
        return;
    }
    for item in [Item::Flags, Item::ModSeq] {
        let wanted = item == Item::Flags || plan.features.condstore;
        if wanted && !plan.items.contains(&item) {
            out.push(b' ');
            row::push_item(out, &item, &message.row, names);
        }
    }
}
