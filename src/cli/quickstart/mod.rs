//! `postern quickstart`: a whole server on high loopback ports, shown at work on eight letters.
//!
//! Each step is what anybody could do: the letters go through the SMTP port, the verdicts come from `message explain`, the
//! searches go over IMAP. On data where the tour was before, what is there already is shown and nothing is sent twice.

mod report;
mod wire;

use super::{
    arguments::{QuickstartArguments, SettingArguments},
    failure::Failed,
    log,
};
use crate::{
    admin::{AdminError, Connection, Done, Event, Explained, FoundMessage, Item, Kind, MessagePlace, Request, Secret},
    clock::Clock,
    config::Config,
    mail::Address,
    server::{Fate, Letter, Server, Tour},
};
use std::{fs, io, os::unix::fs::OpenOptionsExt as _, path::PathBuf, time::Instant};
use wire::{Imap, Smtp};

/// The domain of the tour.
const DOMAIN: &str = "example.org";
/// The one account in it, which all letters are to.
const ACCOUNT: &str = "postmaster@example.org";

/// What differs from the defaults. What is given on the command line wins over it. Spam is not refused, so that there
/// is something in Junk to look at.
const SETTINGS: [&str; 8] = [
    "spam.reject=1.0",
    "server.hostname=mx.example.org",
    "mx.listen=[\"127.0.0.1:2525\"]",
    "submission.listen_starttls=[\"127.0.0.1:2587\"]",
    "submission.listen_tls=[\"127.0.0.1:2465\"]",
    "imap.listen_starttls=[\"127.0.0.1:2143\"]",
    "imap.listen_tls=[\"127.0.0.1:2993\"]",
    "server.data=data",
];

/// A search over IMAP.
struct Search {
    /// Keys and their values, as SEARCH has them (RFC 9051 §6.4.4).
    keys: &'static [(&'static str, &'static str)],
    /// What it shows.
    what: &'static str,
    /// The letter that is to be found.
    letter: usize,
}

const SEARCHES: [Search; 6] = [
    Search { keys: &[("TEXT", "ridge")], what: "a word", letter: 0 },
    Search { keys: &[("TEXT", "scapemen")], what: "a part of a word", letter: 0 },
    Search { keys: &[("HEADER Message-ID", "issue-48")], what: "a header field", letter: 2 },
    Search { keys: &[("FROM", "garden.example"), ("SUBJECT", "fwd")], what: "two fields", letter: 4 },
    Search { keys: &[("BODY", "as large as a hand is older")], what: "words inside base64 HTML", letter: 2 },
    Search { keys: &[("BODY", "打ち合わせ")], what: "text sent in ISO-2022-JP", letter: 5 },
];

/// Runs the tour; then the server stays up, or ends where `--once` was given.
pub(super) async fn run(arguments: QuickstartArguments, settings: &SettingArguments) -> Result<(), Failed> {
    let tour = Tour::start().await?;
    let mut defaults: Vec<String> = SETTINGS.map(str::to_owned).to_vec();
    defaults.push(format!("dns.servers=[\"{}\"]", tour.name_server()));
    let config = settings.load_over(defaults)?;
    log::start(&config, Some(log::QUIET));
    let server = Server::start(config.clone()).await?;
    let shown = show(&tour, &config, &server).await;
    if arguments.once || shown.is_err() {
        server.stop().await;
        return shown;
    }
    report::next_steps(&config, server.addresses());
    Ok(server.run().await?)
}

async fn show(tour: &Tour, config: &Config, server: &Server) -> Result<(), Failed> {
    let connection = Connection::open(config).await?;
    let guide = Guide { connection, account: ACCOUNT.parse().expect("the account is an address") };
    let login = guide.account(config).await?;
    report::opening(config, server.addresses(), &login);
    let letters = tour.letters()?;
    let address = *server.addresses().mx.first().ok_or_else(|| Failed::Tour("mx.listen is empty".to_owned()))?;
    let (mut missing, mut outcomes) = (Vec::new(), Vec::new());
    report::letters_begin();
    for letter in &letters {
        let outcome = guide.deliver(letter, address).await?;
        report::letter(letter, &outcome);
        if !outcome.is(letter.fate) {
            missing.push(format!("the letter of {}", letter.reverse_path));
        }
        outcomes.push(outcome);
    }
    report::letters_end(&outcomes);
    missing.extend(searches(&login, server, &outcomes).await?);
    if missing.is_empty() { Ok(()) } else { Err(Failed::Tour(format!("not as it should be: {}", missing.join(", ")))) }
}

/// Searches over IMAP. Returns those that did not find what they should.
async fn searches(login: &Login, server: &Server, letters: &[Outcome]) -> Result<Vec<String>, Failed> {
    let Some(mut imap) = log_in(login, server).await? else {
        report::searches_left_out(&login.file);
        return Ok(vec!["the searches".to_owned()]);
    };
    report::searches_begin();
    let mut missing = Vec::new();
    for search in &SEARCHES {
        let start = Instant::now();
        let found = imap.search(search.keys).await.map_err(Failed::tour)?;
        report::search(search, &found, start.elapsed(), letters);
        let expected = letters.get(search.letter).and_then(Outcome::uid);
        if !expected.is_some_and(|expected| found.contains(&expected)) {
            missing.push(format!("the search for {}", search.what));
        }
    }
    imap.logout().await.map_err(Failed::tour)?;
    Ok(missing)
}

/// `None` where nobody knows the password any more.
async fn log_in(login: &Login, server: &Server) -> Result<Option<Imap>, Failed> {
    let (Some(address), Some(password)) = (server.addresses().imap_starttls.first(), &login.password) else {
        return Ok(None);
    };
    match Imap::login(*address, ACCOUNT, password).await {
        Ok(imap) => Ok(Some(imap)),
        // The server answered, and said no.
        Err(error) if error.kind() == io::ErrorKind::Other => Ok(None),
        Err(error) => Err(Failed::tour(error)),
    }
}

/// A login that the tour uses.
struct Login {
    /// `None` where the account was made by somebody else, or its password changed.
    password: Option<String>,
    /// Whether the password was made in this run.
    is_new: bool,
    file: PathBuf,
}

/// Does the tour's tasks.
struct Guide {
    connection: Connection,
    account: Address,
}

/// What became of a letter.
enum Outcome {
    Delivered { mailbox: String, uid: u32, explained: Box<Explained>, was_there: bool },
    Refused(String),
    Lost(String),
}

impl Outcome {
    fn is(&self, fate: Fate) -> bool {
        match (self, fate) {
            (Self::Delivered { mailbox, .. }, Fate::Delivered(expected)) => mailbox == expected,
            (Self::Refused(_), Fate::Refused) => true,
            (Self::Delivered { .. } | Self::Refused(_) | Self::Lost(_), _) => false,
        }
    }

    /// Its UID in INBOX.
    fn uid(&self) -> Option<u32> {
        match self {
            Self::Delivered { mailbox, uid, .. } if mailbox == "INBOX" => Some(*uid),
            Self::Delivered { .. } | Self::Refused(_) | Self::Lost(_) => None,
        }
    }
}

impl Guide {
    /// The account, made where it is missing. Its password is kept beside the data, for the next run.
    async fn account(&self, config: &Config) -> Result<Login, Failed> {
        let file = config.server.data.join("quickstart-password");
        self.unless_there(Request::DomainAdd { domain: DOMAIN.parse().expect("the domain is one") }).await?;
        let password = new_password();
        let request = Request::AccountAdd { address: self.account.clone(), password: Secret(password.clone()) };
        if self.unless_there(request).await? {
            let kept = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file);
            let kept = kept.and_then(|mut kept| io::Write::write_all(&mut kept, password.as_bytes()));
            kept.map_err(|error| AdminError::File(file.clone(), error))?;
            return Ok(Login { password: Some(password), is_new: true, file });
        }
        Ok(Login { password: fs::read_to_string(&file).ok(), is_new: false, file })
    }

    /// Sends a letter, unless it is there already.
    async fn deliver(&self, letter: &Letter, mx: std::net::SocketAddr) -> Result<Outcome, Failed> {
        let (found, was_there) = match self.find(letter).await? {
            Some(found) => (Some(found), true),
            None => {
                let mut smtp = Smtp::open(mx).await.map_err(Failed::tour)?;
                let reply = smtp.deliver(letter.reverse_path, ACCOUNT, &letter.raw).await.map_err(Failed::tour)?;
                if !reply.starts_with('2') {
                    return Ok(Outcome::Refused(reply));
                }
                (self.find(letter).await?, false)
            }
        };
        let Some(found) = found else { return Ok(Outcome::Lost("accepted, but not found".to_owned())) };
        let place = MessagePlace { account: self.account.clone(), mailbox: found.mailbox.clone(), uid: found.uid };
        match self.task(Request::MessageExplain(place)).await? {
            (Done::Explained(explained), _) => {
                Ok(Outcome::Delivered { mailbox: found.mailbox, uid: found.uid, explained, was_there })
            }
            _ => Ok(Outcome::Lost("not explained".to_owned())),
        }
    }

    async fn find(&self, letter: &Letter) -> Result<Option<FoundMessage>, Failed> {
        let (account, query) = (self.account.clone(), letter.query.to_owned());
        let (_, items) = self.task(Request::Search { account, query, count: 1 }).await?;
        Ok(items.into_iter().find_map(|item| match item {
            Item::Found(found) => Some(found),
            _ => None,
        }))
    }

    /// Whether it was made now, and not before.
    async fn unless_there(&self, request: Request) -> Result<bool, Failed> {
        match self.task(request).await {
            Ok(_) => Ok(true),
            Err(Failed::Task(failure)) if failure.kind == Kind::Refused => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn task(&self, request: Request) -> Result<(Done, Vec<Item>), Failed> {
        let mut running = self.connection.start(request).await?;
        let mut items = Vec::new();
        while let Some(event) = running.next().await? {
            match event {
                Event::Progress(_) => {}
                Event::Item(item) => items.push(item),
                Event::Done(done) => return Ok((done, items)),
                Event::Failed(failure) => return Err(failure.into()),
            }
        }
        Err(Failed::NoAnswer)
    }
}

/// Four groups of five letters: some 90 bits, without letters that look alike.
fn new_password() -> String {
    const LETTERS: &[u8; 24] = b"abcdefghjkmnpqrstuvwxyz2";
    let mut octets = [0; 20];
    Clock::real().fill_random(&mut octets);
    let letters: Vec<char> =
        octets.iter().filter_map(|octet| LETTERS.get(usize::from(octet % 24)).copied()).map(char::from).collect();
    letters.chunks(5).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ() {
        let (one, other) = (new_password(), new_password());
        assert_eq!(one.len(), 23);
        assert_ne!(one, other);
    }
}
