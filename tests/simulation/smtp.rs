//! An SMTP client.

use super::world::World;
use postern::net::Pipe;
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// Longer than any wait of the server's.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A session that has said EHLO.
pub struct Smtp {
    world: World,
    who: String,
    pipe: Pipe,
    buffer: Vec<u8>,
}

impl Smtp {
    /// Connects and greets. An error where the connection is refused or lost, or where the server has no place.
    pub async fn open(world: &World, who: &str, from: SocketAddr) -> io::Result<Self> {
        let pipe = world.network.connect(from, super::world::MX)?;
        let mut client = Self { world: world.clone(), who: who.to_owned(), pipe, buffer: Vec::new() };
        let (code, _) = client.reply().await?;
        if code != 220 {
            return Err(io::Error::other("not greeted"));
        }
        client.command("EHLO client.example.net").await?;
        Ok(client)
    }

    /// Sends a command and returns the reply.
    pub async fn command(&mut self, line: &str) -> io::Result<(u16, String)> {
        self.say(&format!("C: {line}"));
        self.pipe.write_all(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Sends a transaction without waiting for replies in between, and returns that to the end of data; the sender's
    /// own words where it went no further.
    pub async fn transaction(&mut self, recipients: &[String], raw: &[u8]) -> io::Result<(u16, String)> {
        let mut commands = vec!["MAIL FROM:<sender@example.net>".to_owned()];
        commands.extend(recipients.iter().map(|recipient| format!("RCPT TO:<{recipient}>")));
        commands.push("DATA".to_owned());
        self.say(&format!("C: {}", commands.join(", ")));
        self.pipe.write_all(format!("{}\r\n", commands.join("\r\n")).as_bytes()).await?;
        let mut refused = None;
        for command in &commands {
            let (code, text) = self.reply().await?;
            if code >= 400 && refused.is_none() {
                refused = Some((code, format!("{command}: {text}")));
            }
            if command == "DATA" && code == 354 && refused.is_some() {
                // Some recipient was refused: nobody is to get it.
                return Err(io::Error::other("a recipient was refused"));
            }
        }
        if let Some(refused) = refused {
            return Ok(refused);
        }
        self.pipe.write_all(&stuffed(raw)).await?;
        self.reply().await
    }

    /// Sends the same, and breaks the connection after so many octets of what is sent last.
    pub async fn cut_after(&mut self, recipients: &[String], raw: &[u8], octets: usize) -> io::Result<()> {
        let mut all = "MAIL FROM:<sender@example.net>\r\n".to_owned();
        recipients.iter().for_each(|recipient| all.push_str(&format!("RCPT TO:<{recipient}>\r\n")));
        all.push_str("DATA\r\n");
        self.say(&format!("C: {} (and cuts after {octets})", all.replace("\r\n", ", ")));
        self.pipe.write_all(all.as_bytes()).await?;
        let stuffed = stuffed(raw);
        self.pipe.write_all(&stuffed[..octets.min(stuffed.len())]).await?;
        Ok(())
    }

    /// Breaks the connection.
    pub fn cut(self) {
        self.say("cuts");
        self.pipe.cut();
    }

    /// Says QUIT and waits for the end.
    pub async fn quit(mut self) -> io::Result<()> {
        self.command("QUIT").await.map(drop)
    }

    async fn reply(&mut self) -> io::Result<(u16, String)> {
        loop {
            let line = self.line().await?;
            self.say(&format!("S: {line}"));
            let code = line.get(..3).and_then(|code| code.parse().ok());
            let code = code.unwrap_or_else(|| panic!("not a reply: {line:?}"));
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok((code, line));
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            let read = timeout(PATIENCE, self.pipe.read_buf(&mut self.buffer)).await;
            if read.unwrap_or_else(|_| panic!("{}: the server does not answer", self.who))? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn say(&self, what: &str) {
        self.world.log.say(&self.who, what);
    }
}

/// RFC 5321 §4.5.2.
fn stuffed(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + 64);
    let mut at_start = true;
    for octet in raw {
        if at_start && *octet == b'.' {
            out.push(b'.');
        }
        out.push(*octet);
        at_start = *octet == b'\n';
    }
    assert!(raw.ends_with(b"\r\n"), "letters end in a line");
    out.extend_from_slice(b".\r\n");
    out
}
