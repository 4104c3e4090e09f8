//! What can be typed.

use super::{exit, failure::Failed, output::Output};
use crate::{
    admin::{AliasName, Limit},
    config::Config,
    mail::{Address, ContentId, Domain},
};
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};

/// The configuration that is read where none is named.
const CONFIG: &str = "/etc/postern/config.toml";

/// A mail server in one binary.
#[derive(Parser)]
#[command(name = "postern", version, about, after_help = exit::HELP, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) settings: SettingArguments,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Arguments that every command takes.
#[derive(Args)]
pub(super) struct SettingArguments {
    /// Configuration file [default: /etc/postern/config.toml, where it exists]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    /// Data folder, in place of server.data
    #[arg(long, global = true, value_name = "DIR", help_heading = "Settings")]
    data: Option<PathBuf>,
    /// Any setting, such as dns.attempts=3; wins over the file
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", help_heading = "Settings")]
    set: Vec<String>,
    /// Print one JSON object a line
    #[arg(long, global = true, help_heading = "Settings")]
    json: bool,
}

impl SettingArguments {
    /// The configuration that these say.
    pub(super) fn load(&self) -> Result<Config, Failed> {
        self.load_over(Vec::new())
    }

    /// The same with other defaults, each `key=value`, which win over the file.
    pub(super) fn load_over(&self, defaults: Vec<String>) -> Result<Config, Failed> {
        let usual = || Some(PathBuf::from(CONFIG)).filter(|file| file.exists());
        let file = self.config.clone().or_else(usual);
        let data = self.data.iter().map(|data| format!("server.data={}", data.display()));
        let overrides: Vec<String> = defaults.into_iter().chain(data).chain(self.set.iter().cloned()).collect();
        Ok(Config::load(file.as_deref().map(Path::new), &overrides)?)
    }

    /// How answers are printed.
    pub(super) fn output(&self) -> Output {
        if self.json { Output::Json } else { Output::Text }
    }
}

/// The commands.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Run the server until SIGTERM or SIGINT
    Serve,
    /// Start a whole server on this machine's loopback and show it at work
    Quickstart(QuickstartArguments),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Models of the spam filter
    #[command(subcommand)]
    Spam(SpamCommand),
    #[command(flatten)]
    Task(Task),
}

#[derive(Args)]
pub(super) struct QuickstartArguments {
    /// End after the tour; exit code 0 only if everything was seen
    #[arg(long)]
    pub(super) once: bool,
}

#[derive(Subcommand)]
pub(super) enum SpamCommand {
    /// Train a model on labelled messages
    Train {
        /// The model's name, which verdicts carry
        #[arg(long)]
        name: String,
        /// The file to write
        #[arg(long)]
        output: PathBuf,
        /// A list of `ham PATH` and `spam PATH` lines, paths relative to it
        #[arg(long = "corpus", required = true, value_name = "INDEX")]
        corpora: Vec<PathBuf>,
    },
    /// Measure the model in use (spam.model) on labelled messages
    Measure {
        /// A list of `ham PATH` and `spam PATH` lines, paths relative to it
        #[arg(long = "corpus", required = true, value_name = "INDEX")]
        corpora: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether the configuration is right, and where not
    Check,
    /// Print every setting with its default, unit and reason
    Default,
}

/// Tasks, which the running server does, or this process where none runs.
#[derive(Subcommand)]
pub(super) enum Task {
    /// Domains that mail is taken for
    #[command(subcommand)]
    Domain(DomainTask),
    /// Accounts and their passwords
    #[command(subcommand)]
    Account(AccountTask),
    /// Further addresses of accounts
    #[command(subcommand)]
    Alias(AliasTask),
    /// Store mail from an mbox file, a Maildir, or .eml files
    Import(ImportArguments),
    /// Write mail to mbox files, a Maildir, or .eml files; goes past damage, lists it, and ends with exit code 5
    Export(ExportArguments),
    /// Find messages of an account
    Search(SearchArguments),
    /// One message
    #[command(subcommand)]
    Message(MessageTask),
    /// Text indexes
    #[command(subcommand)]
    Index(IndexTask),
    /// Stored contents
    #[command(subcommand)]
    Blob(BlobTask),
    /// Count everything
    Stats,
    /// Find what of the store does not agree with itself, and mend it
    #[command(after_help = DOCTOR, after_long_help = DOCTOR)]
    Doctor(DoctorArguments),
}

#[derive(Args)]
pub(super) struct DoctorArguments {
    /// Mend what can be mended; a running server must be stopped first, but for locations and index
    #[arg(long)]
    pub(super) repair: bool,
    /// Say what --repair would mend, and change nothing
    #[arg(long, requires = "repair")]
    pub(super) dry_run: bool,
    /// Only these checks
    #[arg(long, value_delimiter = ',', value_name = "CHECK")]
    pub(super) only: Vec<CheckArgument>,
    /// Read every content as well
    #[arg(long)]
    pub(super) deep: bool,
    /// Make lost metadata again from packs: messages come back to where they were delivered, without flags and moves
    #[arg(long, requires = "repair", conflicts_with_all = ["dry_run", "only", "deep"])]
    pub(super) from_packs: bool,
}

/// A check of the doctor's.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum CheckArgument {
    /// Where contents are, against the indexes of packs
    Locations,
    /// Names, headers and blocks of mailboxes, which can be read or not
    Mailboxes,
    /// Message records against the rows of mailboxes, and against packs
    Records,
    /// Counts of references to contents, against records
    References,
    /// Counters of mailboxes and accounts, against rows
    Counters,
    /// Text indexes, against records
    Index,
    /// Objects, against the rows that name them
    Objects,
    /// Contents that messages need, against what is there
    Contents,
}

const DOCTOR: &str = "\
The store keeps some things twice, so that they can be found fast: each is held against what it derives from, and can be
made again from it. Nothing is changed without --repair. A repair may be stopped and begun again at any time.

Where the folder `metadata` is gone or does not open, --repair --from-packs makes it again from packs, which name the
message of each body, and from copies of accounts and mailbox names beside them. Flags, moves and removals are lost, and
mail that was not packed yet (`postern blob pack` packs it; the server does within a day). Mailboxes get another
UIDVALIDITY. What is left of the old metadata is moved aside and kept.

Exit codes:
  0  everything agrees, or was mended
  5  something does not agree, and was not mended
and those of every command (postern --help)";

#[derive(Args)]
pub(super) struct ImportArguments {
    /// The account that gets the mail
    pub(super) account: Address,
    /// A file or folder
    pub(super) source: PathBuf,
    /// The mailbox for the source's root; those below it go below it [default: INBOX]
    #[arg(long)]
    pub(super) mailbox: Option<String>,
    /// What the source is, where its look does not tell
    #[arg(long)]
    pub(super) form: Option<FormArgument>,
}

#[derive(Args)]
pub(super) struct ExportArguments {
    /// The account
    pub(super) account: Address,
    /// A folder that does not exist yet, or is empty
    pub(super) destination: PathBuf,
    /// One mailbox [default: all]
    #[arg(long)]
    pub(super) mailbox: Option<String>,
    /// What to write; only maildir keeps flags and dates
    #[arg(long, default_value = "maildir")]
    pub(super) form: FormArgument,
}

/// How mail lies in files.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum FormArgument {
    /// A file for each mailbox
    Mbox,
    /// A folder for each mailbox, in the manner of Maildir++
    Maildir,
    /// A file for each message, octet for octet
    Eml,
}

#[derive(Args)]
#[command(after_help = QUERIES)]
pub(super) struct SearchArguments {
    /// The account
    pub(super) account: Address,
    /// Words that must all occur, and operators
    pub(super) query: Vec<String>,
    /// Messages to show
    #[arg(long, default_value_t = 50)]
    pub(super) count: usize,
}

const QUERIES: &str = "\
Words are found in header and text, also inside longer words. Further:
  \"several words\"   as they stand
  -word             not
  a OR b            either; parentheses group
  from: to: cc: bcc: subject: message-id:   in that field
  in:Sent           in that mailbox
  is:unread         read, starred, answered, draft, deleted
  larger:10M smaller:500K   octets
  after:2026-01-31 before:2026-02-28   day of arrival
  newer_than:7d older_than:1y   m is 30 days
Give a query that begins with - behind --";

#[derive(Subcommand)]
pub(super) enum MessageTask {
    /// Show date, flags, parts and header of a message
    Show(PlaceArguments),
    /// Show why a message was judged as it was
    Explain(PlaceArguments),
    /// Bring back expunged messages and deleted mailboxes, for store.undelete_days after they went
    Undelete(UndeleteArguments),
}

#[derive(Args)]
#[command(after_help = "\
Messages come back into the mailbox that they were in, with flags and dates, under new UIDs; a mailbox
that is gone is made again. --dry-run lists what there is. Times are in UTC.")]
pub(super) struct UndeleteArguments {
    /// The account
    #[arg(long, value_name = "ADDRESS")]
    pub(super) account: Address,
    /// Those of one mailbox [default: all]
    #[arg(long)]
    pub(super) mailbox: Option<String>,
    /// Those deleted since then: 2026-11-25, 2026-11-25T05:01:49Z, or how long ago (90m, 12h, 3d, 2w)
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Only list them
    #[arg(long)]
    pub(super) dry_run: bool,
}

#[derive(Args)]
pub(super) struct PlaceArguments {
    /// The account
    pub(super) account: Address,
    /// The mailbox
    pub(super) mailbox: String,
    /// The UID, as `search` prints it
    pub(super) uid: u32,
}

#[derive(Subcommand)]
pub(super) enum IndexTask {
    /// Build text indexes again; searches stay right meanwhile
    Rebuild {
        /// One account [default: all]
        account: Option<Address>,
    },
}

#[derive(Subcommand)]
pub(super) enum BlobTask {
    /// Read and check every content
    Verify,
    /// Move what is fresh into packs now
    Pack,
    /// Remove what no message names, as far as its time has come
    #[command(after_help = GC)]
    Gc {
        #[command(flatten)]
        dry_run: DryRun,
        /// Say where this content is, who names it and when it would go; change nothing
        #[arg(long, value_name = "CONTENT-ID", value_parser = content_name, conflicts_with = "dry_run")]
        explain: Option<String>,
    },
    /// Show what contents take, what is saved, and how full packs are
    Stats,
}

const GC: &str = "\
The server does this once a day. A content goes after two generations (30 days each) from when it was packed and after
the grace time (store.sweep_grace_hours) from the sweep that found it without a message: at once where its pack or
object holds nothing else, otherwise when less than half of the pack is still needed and the pack is written again.";

/// The name of a content, checked.
fn content_name(text: &str) -> Result<String, String> {
    match text.parse::<ContentId>() {
        Ok(content) => Ok(content.to_string()),
        Err(()) => Err("a content's name has 64 hexadecimal digits, as `blob verify` prints them".to_owned()),
    }
}

#[derive(Subcommand)]
pub(super) enum DomainTask {
    /// Take mail for a domain
    Add { domain: Domain },
    /// List the domains
    List,
    /// Give up a domain that has no addresses left
    Remove {
        domain: Domain,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Print the DNS records that a domain should publish
    Dns { domain: Domain },
}

#[derive(Subcommand)]
pub(super) enum AccountTask {
    /// Make an account with its mailboxes
    Add {
        address: Address,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List the accounts
    List,
    /// Change a password
    Passwd {
        address: Address,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Show what an account uses, and change what it may use
    Quota {
        address: Address,
        /// Octets of its mail, such as 5GB; none, or default for the limit of all accounts
        #[arg(long, value_name = "SIZE", value_parser = storage)]
        storage: Option<Limit>,
        /// Messages, copies included; none, or default
        #[arg(long, value_name = "NUMBER", value_parser = number)]
        messages: Option<Limit>,
    },
    /// Remove an account and all its mail; `undelete` brings it back for store.undelete_days
    Remove {
        address: Address,
        #[command(flatten)]
        dry_run: DryRun,
    },
    /// Bring a removed account back, with its mail and password; without an address, list those that can be
    Undelete {
        address: Option<Address>,
        /// Another address for it, where the old one is taken
        #[arg(long, requires = "address", value_name = "ADDRESS")]
        into: Option<Address>,
        /// Only say whether it would come back
        #[arg(long, requires = "address")]
        dry_run: bool,
    },
}

#[derive(Subcommand)]
pub(super) enum AliasTask {
    /// Add an alias, or change where it leads
    Add {
        /// An address, or @example.org for every other address of a domain
        alias: AliasName,
        /// Accounts or other aliases
        #[arg(required = true)]
        targets: Vec<Address>,
    },
    /// List the aliases
    List,
    /// Remove an alias
    Remove {
        alias: AliasName,
        #[command(flatten)]
        dry_run: DryRun,
    },
}

/// Whether a destructive task only says what it would do.
#[derive(Args)]
pub(super) struct DryRun {
    /// Only say what would be removed
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Where a password comes from.
#[derive(Args)]
pub(super) struct PasswordSource {
    /// Read the password from standard input instead of asking
    #[arg(long)]
    pub(super) password_stdin: bool,
}

/// A limit of octets: `5GB`, `none` or `default`. Units are powers of 1,024, as IMAP counts.
fn storage(text: &str) -> Result<Limit, String> {
    let digits = text.trim_end_matches(|character: char| !character.is_ascii_digit());
    let unit = text.get(digits.len()..).unwrap_or_default().to_ascii_uppercase();
    let factor = match unit.trim_end_matches('B').trim_end_matches('I') {
        "" => Some(1),
        "K" => Some(1_u64 << 10),
        "M" => Some(1 << 20),
        "G" => Some(1 << 30),
        "T" => Some(1 << 40),
        _ => None,
    };
    let octets = || digits.parse::<u64>().ok()?.checked_mul(factor?);
    word(text)
        .or_else(|| octets().map(Limit::AtMost))
        .ok_or_else(|| "a size such as 500MB or 5GB, none or default".into())
}

fn number(text: &str) -> Result<Limit, String> {
    let number = || text.parse().ok().map(Limit::AtMost);
    word(text).or_else(number).ok_or_else(|| "a number, none or default".into())
}

fn word(text: &str) -> Option<Limit> {
    match text {
        "none" => Some(Limit::Unlimited),
        "default" => Some(Limit::Default),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_with_their_units() {
        for (text, octets) in
            [("5GB", 5 << 30), ("500M", 500 << 20), ("1kib", 1024), ("7", 7), ("2TB", 2 << 40), ("3b", 3)]
        {
            assert_eq!(storage(text), Ok(Limit::AtMost(octets)), "{text}");
        }
        assert_eq!((storage("none"), storage("default")), (Ok(Limit::Unlimited), Ok(Limit::Default)));
        for text in ["", "GB", "5 GB", "-1", "5X", "1.5G", "99999999999G", "G5"] {
            assert!(storage(text).is_err(), "{text}");
        }
        assert_eq!((number("0"), number("none")), (Ok(Limit::AtMost(0)), Ok(Limit::Unlimited)));
        assert!(number("5K").is_err());
    }
}
