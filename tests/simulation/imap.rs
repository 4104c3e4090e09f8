//! An IMAP client.

use super::world::{IMAP, PASSWORD, World};
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use postern::net::Pipe;
use std::{collections::BTreeMap, io, net::SocketAddr, num::NonZeroU32, sync::Mutex, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// Longer than any wait of the server's.
const PATIENCE: Duration = Duration::from_secs(3600);

/// One response: its text, with each literal taken out and `{}` in its place.
#[derive(Clone, Debug)]
pub struct Response {
    pub text: String,
    pub literals: Vec<Vec<u8>>,
}

/// A session that is logged in.
pub struct Imap {
    world: World,
    who: String,
    pipe: Pipe,
    buffer: Vec<u8>,
    tags: u32,
}

/// What a command was answered: untagged responses, and the tagged one without its tag.
pub struct Answer {
    pub untagged: Vec<Response>,
    pub tagged: String,
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        self.tagged.starts_with("OK")
    }

    /// The untagged response that begins so.
    pub fn find(&self, start: &str) -> Option<&str> {
        self.untagged.iter().map(|response| response.text.as_str()).find(|text| text.starts_with(start))
    }

    /// The number of `* n EXISTS`, where there is one.
    pub fn exists(&self) -> Option<u32> {
        self.untagged.iter().rev().find_map(|response| response.text.strip_suffix(" EXISTS")?.parse().ok())
    }

    /// What a response code in any OK or the tagged line says, such as `UIDVALIDITY`.
    pub fn code(&self, name: &str) -> Option<&str> {
        let texts = self.untagged.iter().map(|response| response.text.as_str()).chain([self.tagged.as_str()]);
        texts
            .rev()
            .filter_map(|text| text.split_once(&format!("[{name} "))?.1.split_once(']'))
            .map(|(code, _)| code)
            .next()
    }

    /// The numbers of `* SEARCH`.
    pub fn search(&self) -> Vec<u32> {
        let line = self.find("SEARCH").unwrap_or_else(|| panic!("no SEARCH response: {}", self.tagged));
        line.split_ascii_whitespace().skip(1).map_while(|number| number.parse().ok()).collect()
    }
}

impl Imap {
    /// Connects and logs in.
    pub async fn open(world: &World, who: &str, account: usize) -> io::Result<Self> {
        let from = SocketAddr::from(([127, 0, 0, 1], 40_000));
        let pipe = world.network.connect(from, IMAP)?;
        let mut client = Self { world: world.clone(), who: who.to_owned(), pipe, buffer: Vec::new(), tags: 0 };
        let greeting = client.response().await?;
        if !greeting.text.starts_with("* OK") {
            return Err(io::Error::other("not greeted"));
        }
        client.log_in(&super::world::address(account)).await?;
        Ok(client)
    }

    async fn log_in(&mut self, name: &str) -> io::Result<()> {
        let bare = format!("n={name},r=nonce");
        let tag = self.tag();
        self.send(&format!("{tag} AUTHENTICATE SCRAM-SHA-256 {}\r\n", STANDARD.encode(format!("n,,{bare}")))).await?;
        let first = self.challenge().await?;
        let answer = scram(&bare, &first);
        self.send(&format!("{}\r\n", STANDARD.encode(answer))).await?;
        self.challenge().await?;
        self.send("\r\n").await?;
        let answer = self.answer(&tag).await?;
        if answer.is_ok() { Ok(()) } else { Err(io::Error::other(answer.tagged)) }
    }

    async fn challenge(&mut self) -> io::Result<String> {
        let response = self.response().await?;
        let text = response.text.strip_prefix("+ ").ok_or_else(|| io::Error::other(response.text.clone()))?;
        Ok(String::from_utf8(STANDARD.decode(text).unwrap()).unwrap())
    }

    /// Sends a command and returns its answer.
    pub async fn command(&mut self, command: &str) -> io::Result<Answer> {
        let tag = self.tag();
        self.say(&format!("C: {tag} {command}"));
        self.send(&format!("{tag} {command}\r\n")).await?;
        self.answer(&tag).await
    }

    /// The same, where NO and BAD are faults of the server.
    pub async fn ok(&mut self, command: &str) -> io::Result<Answer> {
        let answer = self.command(command).await?;
        assert!(answer.is_ok(), "{}: {command}: {}", self.who, answer.tagged);
        Ok(answer)
    }

    /// APPEND, with a literal that waits for no go-ahead.
    pub async fn append(&mut self, mailbox: &str, flags: &str, raw: &[u8]) -> io::Result<Answer> {
        let tag = self.tag();
        self.say(&format!("C: {tag} APPEND {mailbox} ({flags}) {} octets", raw.len()));
        self.send(&format!("{tag} APPEND {mailbox} ({flags}) {{{}+}}\r\n", raw.len())).await?;
        self.pipe.write_all(raw).await?;
        self.send("\r\n").await?;
        self.answer(&tag).await
    }

    /// Begins IDLE; [`Imap::response`] gives what is pushed.
    pub async fn idle(&mut self) -> io::Result<()> {
        let tag = self.tag();
        self.send(&format!("{tag} IDLE\r\n")).await
    }

    /// Ends IDLE and returns what was pushed until then.
    pub async fn done(&mut self) -> io::Result<Answer> {
        let tag = format!("a{}", self.tags);
        self.send("DONE\r\n").await?;
        self.answer(&tag).await
    }

    /// Sends octets and breaks the connection.
    pub async fn send_and_cut(&mut self, octets: &[u8], after_millis: u64) {
        self.say(&format!("C: {} (and cuts)", String::from_utf8_lossy(&octets[..octets.len().min(80)])));
        let _ = self.pipe.write_all(octets).await;
        tokio::time::sleep(Duration::from_millis(after_millis)).await;
        self.pipe.cut();
    }

    fn tag(&mut self) -> String {
        self.tags += 1;
        format!("a{}", self.tags)
    }

    async fn send(&mut self, text: &str) -> io::Result<()> {
        self.pipe.write_all(text.as_bytes()).await
    }

    async fn answer(&mut self, tag: &str) -> io::Result<Answer> {
        let mut untagged = Vec::new();
        loop {
            let mut response = self.response().await?;
            if let Some(text) = response.text.strip_prefix("* ") {
                if text.starts_with("BYE") {
                    return Err(io::Error::other("BYE"));
                }
                response.text = text.to_owned();
                untagged.push(response);
            } else if let Some(tagged) = response.text.strip_prefix(&format!("{tag} ")) {
                return Ok(Answer { untagged, tagged: tagged.to_owned() });
            } else {
                assert!(response.text.starts_with('+'), "{}: out of place: {}", self.who, response.text);
            }
        }
    }

    /// The next response, whatever it is.
    pub async fn response(&mut self) -> io::Result<Response> {
        let mut response = Response { text: String::new(), literals: Vec::new() };
        loop {
            let line = self.line().await?;
            let Some(octets) = literal_octets(&line) else {
                response.text.push_str(&line);
                break;
            };
            response.text.push_str(&line[..line.rfind('{').unwrap()]);
            response.text.push_str("{}");
            while self.buffer.len() < octets {
                self.fill().await?;
            }
            response.literals.push(self.buffer.drain(..octets).collect());
        }
        self.say(&format!("S: {}", response.text));
        Ok(response)
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> io::Result<()> {
        let read = timeout(PATIENCE, self.pipe.read_buf(&mut self.buffer)).await;
        match read.unwrap_or_else(|_| panic!("{}: the server does not answer", self.who))? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn say(&self, what: &str) {
        self.world.log.say(&self.who, what);
    }
}

fn literal_octets(line: &str) -> Option<usize> {
    line.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

/// The client's final message (RFC 5802 §3). The salted password is kept: its salts are the same in every run.
fn scram(bare: &str, server_first: &str) -> String {
    static SALTED: Mutex<BTreeMap<String, [u8; 32]>> = Mutex::new(BTreeMap::new());
    let field = |name: &str| server_first.split(',').find_map(|field| field.strip_prefix(name)).unwrap();
    let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec();
    let salted = *SALTED.lock().unwrap().entry(field("s=").to_owned()).or_insert_with(|| {
        let (salt, iterations) = (STANDARD.decode(field("s=")).unwrap(), field("i=").parse::<u32>().unwrap());
        let (mut salted, iterations) = ([0; 32], NonZeroU32::new(iterations).unwrap());
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, PASSWORD.as_bytes(), &mut salted);
        salted
    });
    let client_key = sign(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, &client_key);
    let without_proof = format!("c=biws,r={}", field("r="));
    let signature = sign(stored_key.as_ref(), format!("{bare},{server_first},{without_proof}").as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(key, signature)| key ^ signature).collect();
    format!("{without_proof},p={}", STANDARD.encode(proof))
}
