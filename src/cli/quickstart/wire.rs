//! Just enough of an SMTP and an IMAP client for the tour. Both speak to this machine only.

use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    time::timeout,
};

/// Longer than the server ever thinks about a letter.
const PATIENCE: Duration = Duration::from_secs(60);

/// A line of either protocol.
const LINE_OCTETS_MAX: u64 = 64 * 1024;

struct Wire(BufReader<TcpStream>);

impl Wire {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.0.get_mut().write_all(octets)).await?
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        timeout(PATIENCE, (&mut self.0).take(LINE_OCTETS_MAX).read_until(b'\n', &mut line)).await??;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }
}

/// An SMTP session.
pub(super) struct Smtp(Wire);

impl Smtp {
    /// Connects and greets by the name that the tour's zone has for this machine.
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let mut smtp = Self(Wire::open(address).await?);
        smtp.reply().await?;
        smtp.command("EHLO out.letters.example").await?;
        Ok(smtp)
    }

    /// Sends one message and gives the reply that decided on it.
    pub(super) async fn deliver(&mut self, reverse_path: &str, to: &str, raw: &[u8]) -> io::Result<String> {
        for command in [format!("MAIL FROM:<{reverse_path}>"), format!("RCPT TO:<{to}>"), "DATA".to_owned()] {
            let reply = self.command(&command).await?;
            if !reply.starts_with(['2', '3']) {
                return Ok(reply);
            }
        }
        let mut content = Vec::with_capacity(raw.len() + 16);
        for line in raw.split_inclusive(|octet| *octet == b'\n') {
            // RFC 5321 §4.5.2.
            if line.starts_with(b".") {
                content.push(b'.');
            }
            content.extend_from_slice(line);
        }
        content.extend_from_slice(b".\r\n");
        self.0.send(&content).await?;
        let reply = self.reply().await?;
        self.command("QUIT").await?;
        Ok(reply)
    }

    async fn command(&mut self, command: &str) -> io::Result<String> {
        self.0.send(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// The last line of a reply.
    async fn reply(&mut self) -> io::Result<String> {
        loop {
            let line = self.0.line().await?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }
}

/// An IMAP session with INBOX selected.
pub(super) struct Imap {
    wire: Wire,
    commands: u32,
}

impl Imap {
    /// Connects, logs in and selects INBOX.
    pub(super) async fn login(address: SocketAddr, login: &str, password: &str) -> io::Result<Self> {
        let mut imap = Self { wire: Wire::open(address).await?, commands: 0 };
        imap.wire.line().await?;
        imap.command(format!("LOGIN \"{login}\" \"{}\"", password.trim()).as_bytes()).await?;
        imap.command(b"EXAMINE INBOX").await?;
        Ok(imap)
    }

    /// The UIDs of the messages that match all keys. Values go as literals, which take any text (RFC 7888).
    pub(super) async fn search(&mut self, keys: &[(&str, &str)]) -> io::Result<Vec<u32>> {
        let mut command = b"UID SEARCH CHARSET UTF-8".to_vec();
        for (key, value) in keys {
            command.extend(format!(" {key} {{{}+}}\r\n{value}", value.len()).as_bytes());
        }
        let untagged = self.command(&command).await?;
        let numbers = untagged.iter().filter_map(|line| line.strip_prefix("* SEARCH"));
        Ok(numbers.flat_map(str::split_whitespace).filter_map(|number| number.parse().ok()).collect())
    }

    /// Ends the session.
    pub(super) async fn logout(mut self) -> io::Result<()> {
        self.command(b"LOGOUT").await.map(|_| ())
    }

    /// Sends a command and gives its untagged lines; an error unless it is answered OK.
    async fn command(&mut self, command: &[u8]) -> io::Result<Vec<String>> {
        self.commands += 1;
        let tag = format!("t{} ", self.commands);
        self.wire.send(&[tag.as_bytes(), command, b"\r\n"].concat()).await?;
        let mut untagged = Vec::new();
        loop {
            let line = self.wire.line().await?;
            match line.strip_prefix(&tag) {
                Some(result) if result.starts_with("OK") => return Ok(untagged),
                Some(result) => return Err(io::Error::other(result.to_owned())),
                None => untagged.push(line),
            }
        }
    }
}
