//! The small world of the quickstart: who writes letters, and what name servers say of them.
//!
//! Nothing in it is played: the letters are signed with a key whose public half is in the zone, and the server asks for it
//! in real packets.

use super::ServerError;
use crate::{
    authentication::{DkimKey, DkimKeyError},
    dns::ZoneServer,
    mail::Domain,
};
use std::net::SocketAddr;

/// The zone, without the DKIM key that each start makes.
const ZONE: &str = include_str!("../../fixtures/zones/tour.zone");

/// The selector of that key.
const SELECTOR: &str = "tour";

/// The domains that sign.
const SIGNERS: [&str; 2] = ["letters.example", "notes.example"];

/// One letter on its way.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Its reverse path.
    pub reverse_path: &'static str,
    /// Its octets, signed where its domain signs.
    pub raw: Vec<u8>,
    /// A query that finds it and nothing else.
    pub query: &'static str,
    /// What should become of it.
    pub fate: Fate,
}

/// What should become of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is delivered to this mailbox.
    Delivered(&'static str),
    /// It is refused during SMTP.
    Refused,
}

/// The letters as they were written.
const LETTERS: [(&str, &[u8], &str, Fate); 8] = [
    (
        "alice@letters.example",
        include_bytes!("../../fixtures/messages/01-letter.eml"),
        "message-id:hills-1@letters.example",
        Fate::Delivered("INBOX"),
    ),
    (
        "bob@letters.example",
        include_bytes!("../../fixtures/messages/02-reply.eml"),
        "message-id:hills-2@letters.example",
        Fate::Delivered("INBOX"),
    ),
    (
        "letter@notes.example",
        include_bytes!("../../fixtures/messages/03-newsletter.eml"),
        "message-id:issue-48@notes.example",
        Fate::Delivered("INBOX"),
    ),
    (
        "carol@garden.example",
        include_bytes!("../../fixtures/messages/04-minutes.eml"),
        "message-id:minutes@garden.example",
        Fate::Delivered("INBOX"),
    ),
    (
        "dan@garden.example",
        include_bytes!("../../fixtures/messages/05-minutes-forwarded.eml"),
        "message-id:minutes-again@garden.example",
        Fate::Delivered("INBOX"),
    ),
    (
        "planung@letters.example",
        include_bytes!("../../fixtures/messages/06-many-scripts.eml"),
        "message-id:scripts-1@letters.example",
        Fate::Delivered("INBOX"),
    ),
    (
        "claim2241@offers.example",
        include_bytes!("../../fixtures/messages/07-spam.eml"),
        "from:claim2241@offers.example",
        Fate::Delivered("Junk"),
    ),
    (
        "security@bank.example",
        include_bytes!("../../fixtures/messages/08-forged.eml"),
        "message-id:notice-77@bank.example",
        Fate::Refused,
    ),
];

/// The world, for as long as it is held.
pub struct Tour {
    names: ZoneServer,
    key: DkimKey,
}

impl Tour {
    /// Makes a key and starts the name server on loopback.
    pub async fn start() -> Result<Self, ServerError> {
        let key = DkimKey::generate_ed25519().map_err(|error| unsigned(&error))?;
        let record = key.dns_record();
        let mut zone = ZONE.to_owned();
        for domain in SIGNERS {
            zone += &format!("{SELECTOR}._domainkey.{domain}. TXT \"{record}\"\n");
        }
        let names = ZoneServer::start(&zone).await.map_err(ServerError::Resolver)?;
        Ok(Self { names, key })
    }

    /// The name server, for `dns.servers`.
    pub fn name_server(&self) -> SocketAddr {
        self.names.address()
    }

    /// The letters, in the order of their dates.
    pub fn letters(&self) -> Result<Vec<Letter>, ServerError> {
        let letter = |(reverse_path, raw, query, fate)| {
            Ok(Letter { reverse_path, raw: self.signed(reverse_path, raw)?, query, fate })
        };
        LETTERS.into_iter().map(letter).collect()
    }

    fn signed(&self, reverse_path: &str, raw: &[u8]) -> Result<Vec<u8>, ServerError> {
        let domain = reverse_path.rsplit('@').next().unwrap_or_default();
        if !SIGNERS.contains(&domain) {
            return Ok(raw.to_vec());
        }
        let domain: Domain = domain.parse().expect("the signers are domains");
        let signature = self.key.sign(raw, &domain, SELECTOR).map_err(|error| unsigned(&error))?;
        Ok([signature.as_bytes(), raw].concat())
    }
}

fn unsigned(error: &DkimKeyError) -> ServerError {
    ServerError::Service("the tour", std::io::Error::other(error.to_string()))
}
