//! Plain SMTP and IMAP clients over real sockets, for tests that need many messages in and out.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A line-wise connection.
struct Wire(BufReader<TcpStream>);

impl Wire {
    fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self(BufReader::with_capacity(1 << 16, stream)))
    }

    fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(octets)
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        if self.0.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line)
    }
}

/// An SMTP session that has said EHLO.
pub struct Smtp(Wire);

impl Smtp {
    /// Connects and greets.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let mut smtp = Self(Wire::open(address)?);
        smtp.reply()?;
        smtp.0.send(b"EHLO client.example\r\n")?;
        smtp.reply()?;
        Ok(smtp)
    }

    /// One transaction. The answer is that to the end of data, or the first refusal before it. An error
    /// means that the connection broke: the message may or may not have been taken.
    pub fn deliver(&mut self, reverse_path: &str, forward_path: &str, raw: &[u8]) -> io::Result<String> {
        self.deliver_to(reverse_path, &[forward_path], raw)
    }

    /// The same with several recipients.
    pub fn deliver_to(&mut self, reverse_path: &str, forward_paths: &[&str], raw: &[u8]) -> io::Result<String> {
        let to: String = forward_paths.iter().map(|path| format!("RCPT TO:<{path}>\r\n")).collect();
        self.0.send(format!("MAIL FROM:<{reverse_path}>\r\n{to}DATA\r\n").as_bytes())?;
        let replies = (0..forward_paths.len() + 2).map(|_| self.reply()).collect::<io::Result<Vec<String>>>()?;
        if !replies.last().is_some_and(|reply| reply.starts_with("354")) {
            self.0.send(b"RSET\r\n")?;
            self.reply()?;
            return Ok(replies.into_iter().find(|reply| reply.starts_with(['4', '5'])).unwrap_or_default());
        }
        self.0.send(&stuffed(raw))?;
        self.reply()
    }

    fn reply(&mut self) -> io::Result<String> {
        let mut text = String::new();
        loop {
            let line = self.0.line()?;
            text.push_str(&String::from_utf8_lossy(&line));
            if line.get(3) != Some(&b'-') {
                return Ok(text);
            }
        }
    }
}

/// Content with dots doubled and the final dot (RFC 5321 §4.5.2). `raw` must end in CRLF.
fn stuffed(raw: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(raw.len() + 64);
    for line in raw.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    data.extend_from_slice(b".\r\n");
    data
}

/// An IMAP session that is logged in.
pub struct Imap {
    wire: Wire,
    tag: u32,
}

/// One untagged response: its text, and its literals in order.
pub struct Response {
    /// The line or lines, literals left out.
    pub text: String,
    /// The literals.
    pub literals: Vec<Vec<u8>>,
}

impl Imap {
    /// Connects and logs in.
    pub fn login(address: SocketAddr, login: &str, password: &str) -> io::Result<Self> {
        let mut imap = Self { wire: Wire::open(address)?, tag: 0 };
        imap.wire.line()?;
        imap.command(&format!("LOGIN \"{login}\" \"{password}\""))?;
        Ok(imap)
    }

    /// Sends a command and collects its untagged responses; panics unless it is answered OK.
    pub fn command(&mut self, command: &str) -> io::Result<Vec<Response>> {
        self.tag += 1;
        let tag = format!("t{} ", self.tag);
        self.wire.send(format!("{tag}{command}\r\n").as_bytes())?;
        let mut responses = Vec::new();
        loop {
            let response = self.response()?;
            if let Some(result) = response.text.strip_prefix(&tag) {
                assert!(result.starts_with("OK"), "{command}: {result}");
                return Ok(responses);
            }
            responses.push(response);
        }
    }

    fn response(&mut self) -> io::Result<Response> {
        let mut response = Response { text: String::new(), literals: Vec::new() };
        loop {
            let line = self.wire.line()?;
            let line = String::from_utf8_lossy(&line);
            response.text.push_str(line.trim_end());
            let Some(octets) = literal_octets(&line) else { return Ok(response) };
            let mut literal = vec![0; octets];
            self.wire.0.read_exact(&mut literal)?;
            response.literals.push(literal);
        }
    }
}

fn literal_octets(line: &str) -> Option<usize> {
    line.strip_suffix("}\r\n")?.rsplit_once('{')?.1.parse().ok()
}
