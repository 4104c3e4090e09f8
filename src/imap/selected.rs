//! The selected mailbox of a session: its view, and what of the store's changes the client was told (RFC 9051 §7.5.1).
//!
//! Owns: untagged EXISTS, EXPUNGE, FLAGS and FETCH that no command asked for. Promises: a client that applies
//! them converges to the store's state (P8), by comparing snapshots and never by counting events; EXPUNGE comes only
//! where it may. Never: changes the store.

use super::{
    command::Numbers,
    fetch::row,
    recent::Recent,
    sequence::UidRanges,
    session::Features,
    view::View,
    write::{FlagNames, push_decimal, push_fmt},
};
use crate::{
    mail::{AccountId, MailboxId, ModSeq, SystemFlags, Uid},
    store::{Row, Snapshot},
};

/// How a mailbox was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// SELECT
    ReadWrite,
    /// EXAMINE
    ReadOnly,
}

/// A selected mailbox.
pub(crate) struct Selected {
    /// Which one.
    pub(crate) mailbox: MailboxId,
    /// How it was opened.
    pub(crate) access: Access,
    /// What the client knows.
    pub(crate) view: View,
    /// The saved search result (RFC 5182).
    pub(crate) saved: UidRanges,
    /// Messages that are `\Recent` in this session (RFC 3501 §2.3.2).
    pub(crate) recent: UidRanges,
    /// Where they are claimed.
    claims: Claims,
    /// Flags that the command under way has sent, with the mod-sequence they had.
    pub(crate) sent_flags: Vec<(Uid, ModSeq)>,
    /// Every change of flags up to this was reported.
    flags_until: ModSeq,
    /// The last message announced by then. A client asks for the flags of later ones itself.
    flags_until_uid: Option<Uid>,
    /// The view held what the mailbox held at this mod-sequence.
    view_until: Option<ModSeq>,
    keywords: usize,
}

/// Claims messages as recent, for one mailbox.
pub(crate) struct Claims {
    /// What no session has claimed.
    pub(crate) unclaimed: Recent,
    /// The account of the mailbox.
    pub(crate) account: AccountId,
}

/// What SELECT says of the messages beside their number.
pub(crate) struct Opened {
    /// The mailbox.
    pub(crate) selected: Selected,
    /// Number of the first message without `\Seen` (RFC 3501 §7.1).
    pub(crate) first_unseen: Option<usize>,
}

impl Selected {
    /// Opens a mailbox as it is in `snapshot`.
    pub(crate) fn open(mailbox: MailboxId, access: Access, claims: Claims, snapshot: &Snapshot) -> Opened {
        let status = snapshot.status();
        let mut first_unseen = None;
        let rows = snapshot.rows().enumerate().map(|(index, row)| {
            if first_unseen.is_none() && !row.flags.contains(SystemFlags::SEEN) {
                first_unseen = Some(index + 1);
            }
            row.uid
        });
        let view = View::new(rows);
        let flags_until_uid = view.last();
        let mut selected = Self {
            mailbox,
            access,
            view,
            saved: UidRanges::default(),
            recent: UidRanges::default(),
            claims,
            sent_flags: Vec::new(),
            flags_until: status.highest_modseq,
            flags_until_uid,
            view_until: Some(status.highest_modseq),
            keywords: status.keywords.len(),
        };
        selected.claim_recent(Some(Uid::FIRST), snapshot);
        Opened { selected, first_unseen }
    }

    /// Announces messages that arrived, so that the command about to run sees them.
    pub(crate) fn announce_arrivals(&mut self, snapshot: &Snapshot, features: Features, out: &mut Vec<u8>) {
        if self.view_until == Some(snapshot.status().highest_modseq) {
            return;
        }
        let before = self.view.len();
        self.announce(snapshot);
        if self.view.len() > before {
            self.push_exists(features, out);
        }
    }

    /// Writes EXISTS, and RECENT for clients of IMAP4rev1.
    pub(crate) fn push_exists(&self, features: Features, out: &mut Vec<u8>) {
        push_fmt(out, format_args!("* {} EXISTS\r\n", self.view.len()));
        if !features.imap4rev2 {
            push_fmt(out, format_args!("* {} RECENT\r\n", self.view.count(&self.recent)));
        }
    }

    /// The flags of this mailbox's messages, ready to be written.
    pub(crate) fn flag_names(&self, snapshot: &Snapshot, features: Features) -> FlagNames {
        let recent = if features.imap4rev2 { UidRanges::default() } else { self.recent.clone() };
        FlagNames::new(&snapshot.status().keywords, recent)
    }

    /// Claims what is recent among the messages of the view from `first` on.
    fn claim_recent(&mut self, first: Option<Uid>, snapshot: &Snapshot) {
        let recent = self.claims.unclaimed.claim(self.claims.account, self.mailbox, self.access, snapshot);
        if let (Some(first), Some(last)) = (first.map(|first| first.max(recent)), self.view.last())
            && first <= last
        {
            self.recent.push(first, last);
        }
    }

    /// Reports every difference between what the client knows and `snapshot`.
    pub(crate) fn report(&mut self, snapshot: &Snapshot, numbers: Numbers, features: Features, out: &mut Vec<u8>) {
        let until = snapshot.status().highest_modseq;
        if self.view_until != Some(until) {
            self.report_messages(snapshot, numbers, features, out);
        }
        self.report_keywords(snapshot, features, out);
        if self.flags_until != until {
            self.report_flags(snapshot, features, out);
            self.flags_until = until;
            self.flags_until_uid = self.view.last();
        }
        self.sent_flags = Vec::new();
    }

    fn announce(&mut self, snapshot: &Snapshot) {
        let (before, first) = (self.view.len(), self.view.last().map_or(Some(Uid::FIRST), Uid::next));
        if let (Some(first), Some(last)) = (first, Uid::new(u32::MAX)) {
            self.view.announce(snapshot.rows_between(first, last).map(|row| row.uid));
        }
        if self.view.len() > before {
            self.claim_recent(first, snapshot);
        }
    }

    fn report_messages(&mut self, snapshot: &Snapshot, numbers: Numbers, features: Features, out: &mut Vec<u8>) {
        let before = self.view.len();
        self.announce(snapshot);
        let arrived = self.view.len() - before;
        // Counting tells whether anything is gone, without comparing all UIDs.
        let gone = self.view.len() > snapshot.status().exists as usize;
        if gone && numbers != Numbers::Uses {
            for number in self.view.remove(snapshot.rows().map(|row| row.uid)) {
                out.extend_from_slice(b"* ");
                push_decimal(out, u64::from(number.get()));
                out.extend_from_slice(b" EXPUNGE\r\n");
            }
        }
        if arrived > 0 {
            self.push_exists(features, out);
        }
        self.view_until = (!gone || numbers != Numbers::Uses).then_some(snapshot.status().highest_modseq);
    }

    /// Announces keywords that the client has not heard of.
    pub(crate) fn report_keywords(&mut self, snapshot: &Snapshot, features: Features, out: &mut Vec<u8>) {
        let keywords = snapshot.status().keywords.len();
        if keywords != self.keywords {
            push_flags(out, &self.flag_names(snapshot, features), self.access);
            self.keywords = keywords;
        }
    }

    fn report_flags(&mut self, snapshot: &Snapshot, features: Features, out: &mut Vec<u8>) {
        let names = self.flag_names(snapshot, features);
        self.sent_flags.sort_unstable();
        for row in snapshot.rows_changed_since(Some(self.flags_until)) {
            let Some(number) = self.view.number(row.uid) else { continue };
            let first_sent = self.sent_flags.partition_point(|(uid, _)| *uid < row.uid);
            let mut sent = self
                .sent_flags
                .get(first_sent..)
                .unwrap_or_default()
                .iter()
                .take_while(|(uid, _)| *uid == row.uid)
                .peekable();
            let known = sent.peek().is_some() || Some(row.uid) <= self.flags_until_uid;
            if known && sent.all(|(_, modseq)| *modseq != row.modseq) {
                row::push_flags(out, number, &row, &names, features);
            }
        }
    }

    /// Notes that the client has the flags of `row` as they are.
    pub(crate) fn note_sent(&mut self, row: &Row) {
        // Older changes were reported before; noting them would only cost memory.
        if row.modseq > self.flags_until {
            self.sent_flags.push((row.uid, row.modseq));
        }
    }

    /// Whether flags of `row` changed without the client having been told.
    pub(crate) fn has_news(&self, row: &Row) -> bool {
        row.modseq > self.flags_until && !self.sent_flags.contains(&(row.uid, row.modseq))
    }
}

/// Writes FLAGS and PERMANENTFLAGS (RFC 9051 §7.3.5, §7.1).
pub(crate) fn push_flags(out: &mut Vec<u8>, names: &FlagNames, access: Access) {
    out.extend_from_slice(b"* FLAGS ");
    names.push_all(out, None);
    out.extend_from_slice(b"\r\n* OK [PERMANENTFLAGS ");
    match access {
        Access::ReadWrite => names.push_all(out, Some("\\*")),
        Access::ReadOnly => out.extend_from_slice(b"()"),
    }
    out.extend_from_slice(b"] flags that can be changed\r\n");
}
