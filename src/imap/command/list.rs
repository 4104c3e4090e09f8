//! LIST (RFC 9051 §6.3.9) with everything of RFC 5258, LIST-STATUS (RFC 5819) and SPECIAL-USE (RFC 6154); LSUB (RFC 3501 §6.3.9).
//!
//! REMOTE is taken and changes nothing: no mailbox is remote.

use super::{
    super::{
        mailbox_name::{self, Pattern},
        parser::{Parsed, Parser, WireName},
        response::{Completion, Failure, Outcome},
        session::Session,
        wire::Wire,
        write::push_astring,
    },
    Command,
    status::{StatusItem, enable_condstore_for, push_status, read_items},
};
use crate::{
    mail::{AccountId, MailboxId},
    store::{SpecialUse, Store, StoreError},
};
use std::{collections::BTreeMap, ops::Bound};

/// Arguments of LIST and LSUB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List {
    /// LIST or LSUB, and how it was written.
    pub(crate) kind: Kind,
    /// Which mailboxes.
    pub(crate) selection: Selection,
    /// Where patterns begin.
    pub(crate) reference: WireName,
    /// Names with wildcards.
    pub(crate) patterns: Vec<WireName>,
    /// What is told of each.
    pub(crate) returns: Returns,
}

/// LIST or LSUB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// LIST as RFC 3501 has it.
    Basic,
    /// LIST with options or several patterns.
    Extended,
    /// LSUB
    Lsub,
}

/// Selection options (RFC 5258 §3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// SUBSCRIBED
    pub(crate) subscribed: bool,
    /// RECURSIVEMATCH
    pub(crate) recursive_match: bool,
    /// SPECIAL-USE
    pub(crate) special_use: bool,
}

/// Return options (RFC 5258 §3.2). CHILDREN and SPECIAL-USE are returned always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Returns {
    /// SUBSCRIBED
    pub(crate) subscribed: bool,
    /// STATUS; empty where it was not asked.
    pub(crate) status: Vec<StatusItem>,
}

/// Reads `[SP "(" options ")"] SP reference SP patterns [SP RETURN SP "(" options ")"]`.
pub(super) fn read_list(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    let (mut kind, mut selection) = (Kind::Basic, Selection::default());
    if parser.peek() == Some(b'(') {
        kind = Kind::Extended;
        selection = read_selection(parser)?;
        parser.space()?;
    }
    let reference = parser.mailbox()?;
    parser.space()?;
    let patterns = if parser.peek() == Some(b'(') {
        kind = Kind::Extended;
        parser.list1(Parser::list_mailbox)?
    } else {
        vec![parser.list_mailbox()?]
    };
    let mut returns = Returns::default();
    if parser.take(b' ') {
        if !parser.word("RETURN") {
            return parser.expected("RETURN");
        }
        kind = Kind::Extended;
        parser.space()?;
        returns = read_returns(parser)?;
    }
    Ok(Command::List(List { kind, selection, reference, patterns, returns }))
}

/// Reads LSUB's arguments.
pub(super) fn read_lsub(parser: &mut Parser<'_>) -> Parsed<Command> {
    parser.space()?;
    let reference = parser.mailbox()?;
    parser.space()?;
    let patterns = vec![parser.list_mailbox()?];
    // `%` shows the levels above subscribed names, as RECURSIVEMATCH does (RFC 3501 §6.3.9).
    let selection = Selection { subscribed: true, recursive_match: true, special_use: false };
    Ok(Command::List(List { kind: Kind::Lsub, selection, reference, patterns, returns: Returns::default() }))
}

fn read_selection(parser: &mut Parser<'_>) -> Parsed<Selection> {
    let mut selection = Selection::default();
    parser.list(|parser| {
        match parser.any_word("a selection option")?.as_str() {
            "SUBSCRIBED" => selection.subscribed = true,
            "RECURSIVEMATCH" => selection.recursive_match = true,
            "SPECIAL-USE" => selection.special_use = true,
            "REMOTE" => {}
            _ => return parser.expected("SUBSCRIBED, REMOTE, RECURSIVEMATCH or SPECIAL-USE before this"),
        }
        Ok(())
    })?;
    if selection.recursive_match && !selection.subscribed && !selection.special_use {
        return parser.expected("another selection option beside RECURSIVEMATCH");
    }
    Ok(selection)
}

fn read_returns(parser: &mut Parser<'_>) -> Parsed<Returns> {
    let mut returns = Returns::default();
    parser.list(|parser| {
        match parser.any_word("a return option")?.as_str() {
            "SUBSCRIBED" => returns.subscribed = true,
            "CHILDREN" | "SPECIAL-USE" => {}
            "STATUS" => {
                parser.space()?;
                returns.status = read_items(parser)?;
            }
            _ => return parser.expected("SUBSCRIBED, CHILDREN, SPECIAL-USE or STATUS before this"),
        }
        Ok(())
    })?;
    Ok(returns)
}

/// A name in the hierarchy.
#[derive(Clone, Debug, Default)]
struct Node {
    /// The mailbox that bears it, where one does.
    mailbox: Option<MailboxId>,
    special_use: Option<SpecialUse>,
    subscribed: bool,
    /// Whether mailboxes exist below.
    has_children: bool,
}

/// Every name of an account: mailboxes, subscribed names, and the levels above both.
struct Hierarchy(BTreeMap<String, Node>);

impl Hierarchy {
    fn read(store: &Store, account: AccountId) -> Result<Self, StoreError> {
        let mut hierarchy = Self(BTreeMap::new());
        for entry in store.mailboxes(account)? {
            hierarchy.add_levels_above(&entry.name, |level| level.has_children = true);
            let node = hierarchy.0.entry(entry.name).or_default();
            node.mailbox = Some(entry.id);
            node.special_use = entry.special_use;
            node.subscribed = entry.subscribed;
        }
        for name in store.subscriptions(account)? {
            hierarchy.add_levels_above(&name, |_| {});
            hierarchy.0.entry(name).or_default().subscribed = true;
        }
        Ok(hierarchy)
    }

    fn add_levels_above(&mut self, name: &str, mark: impl Fn(&mut Node)) {
        for (end, _) in name.match_indices('/') {
            let level = name.get(..end).unwrap_or_default();
            match self.0.get_mut(level) {
                Some(node) => mark(node),
                None => mark(self.0.entry(level.to_owned()).or_default()),
            }
        }
    }

    /// Names below `name`, of every depth.
    fn below<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a String, &'a Node)> {
        let prefix = format!("{name}/");
        let from = (Bound::Included(prefix.clone()), Bound::Unbounded);
        self.0.range::<String, _>(from).take_while(move |(below, _)| below.starts_with(&prefix))
    }
}

impl Selection {
    fn selects(self, node: &Node) -> bool {
        let listed = self.subscribed || node.mailbox.is_some() || node.has_children;
        listed && (node.subscribed || !self.subscribed) && (node.special_use.is_some() || !self.special_use)
    }
}

/// Answers LIST and LSUB.
pub(crate) async fn execute(list: &List, session: &mut Session, wire: &mut Wire<'_>) -> Outcome {
    let completion = Completion::ok(if list.kind == Kind::Lsub { "LSUB completed" } else { "LIST completed" });
    let verb = if list.kind == Kind::Lsub { "LSUB" } else { "LIST" };
    if list.kind != Kind::Extended && list.patterns.iter().all(|pattern| pattern.0.is_empty()) {
        // The client asks for the hierarchy separator (RFC 9051 §6.3.9).
        wire.out.extend_from_slice(format!("* {verb} (\\Noselect) \"/\" \"\"\r\n").as_bytes());
        return Ok(completion);
    }
    let Ok(reference) = session.name(&list.reference) else { return Ok(completion) };
    let names = list.patterns.iter().map(|pattern| session.name(pattern));
    // No mailbox has a name that cannot be read, and so none matches.
    let patterns: Vec<Pattern> = names.flatten().map(|name| Pattern::new(&reference, &name)).collect();
    enable_condstore_for(&list.returns.status, session, wire);
    let hierarchy = Hierarchy::read(&session.services.store, session.account()?)?;
    let matches = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    for (name, node) in hierarchy.0.iter().filter(|(name, _)| matches(name)) {
        let selected = list.selection.selects(node);
        // RFC 5258 §3.5: told of a level where something below is selected and does not show by itself.
        let has_hidden = list.selection.recursive_match
            && hierarchy.below(name).any(|(below, node)| list.selection.selects(node) && !matches(below));
        if !selected && !has_hidden {
            continue;
        }
        push_line(&mut wire.out, list, name, &attributes(list, node, selected, session), has_hidden, session);
        if let Some(mailbox) = node.mailbox.filter(|_| !list.returns.status.is_empty()) {
            push_status_of(&mut wire.out, name, mailbox, &list.returns.status, session)?;
        }
        wire.flush_if_full().await?;
    }
    Ok(completion)
}

/// A mailbox that went away meanwhile has no status.
fn push_status_of(
    out: &mut Vec<u8>,
    name: &str,
    mailbox: MailboxId,
    items: &[StatusItem],
    session: &Session,
) -> Result<(), Failure> {
    match push_status(out, name, mailbox, items, session) {
        Err(Failure::Store(StoreError::NoMailbox)) => Ok(()),
        pushed => pushed,
    }
}

fn attributes(list: &List, node: &Node, selected: bool, session: &Session) -> Vec<&'static str> {
    if list.kind == Kind::Lsub {
        return if selected { Vec::new() } else { vec!["\\Noselect"] };
    }
    let mut attributes = Vec::new();
    if node.mailbox.is_none() {
        // \NonExistent says more, to a client that knows it (RFC 5258 §3).
        let known = list.kind == Kind::Extended || session.features.imap4rev2;
        attributes.push(if known { "\\NonExistent" } else { "\\Noselect" });
    }
    attributes.push(if node.has_children { "\\HasChildren" } else { "\\HasNoChildren" });
    if node.subscribed && (list.selection.subscribed || list.returns.subscribed) {
        attributes.push("\\Subscribed");
    }
    attributes.extend(node.special_use.map(|special_use| match special_use {
        SpecialUse::Archive => "\\Archive",
        SpecialUse::Drafts => "\\Drafts",
        SpecialUse::Junk => "\\Junk",
        SpecialUse::Sent => "\\Sent",
        SpecialUse::Trash => "\\Trash",
    }));
    attributes
}

fn push_line(out: &mut Vec<u8>, list: &List, name: &str, attributes: &[&str], has_hidden: bool, session: &Session) {
    let verb = if list.kind == Kind::Lsub { "LSUB" } else { "LIST" };
    out.extend_from_slice(format!("* {verb} ({}) \"/\" ", attributes.join(" ")).as_bytes());
    let name = mailbox_name::encode(name, session.features.names());
    push_astring(out, name.as_bytes(), session.features.charset());
    if has_hidden && list.kind == Kind::Extended {
        let kinds = [(list.selection.subscribed, "\"SUBSCRIBED\""), (list.selection.special_use, "\"SPECIAL-USE\"")];
        let kinds: Vec<&str> = kinds.into_iter().filter(|(selected, _)| *selected).map(|(_, name)| name).collect();
        out.extend_from_slice(format!(" (\"CHILDINFO\" ({}))", kinds.join(" ")).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}
