//! The least SMTP and IMAP that a load generator needs.

use std::net::SocketAddr;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// A line-wise connection.
pub struct Connection {
    stream: BufReader<TcpStream>,
    tag: u32,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server accepts");
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::with_capacity(64 * 1024, stream), tag: 0 }
    }

    pub async fn send(&mut self, text: &[u8]) {
        self.stream.get_mut().write_all(text).await.expect("the server reads");
    }

    pub async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = self.stream.read_until(b'\n', &mut line).await.expect("the server answers");
        assert!(read > 0, "the server closed the connection");
        String::from_utf8_lossy(&line).into_owned()
    }

    /// Reads one SMTP reply and checks its first digit.
    async fn reply(&mut self, wanted: char) -> String {
        loop {
            let line = self.line().await;
            if line.as_bytes().get(3) != Some(&b'-') {
                assert!(line.starts_with(wanted), "wanted {wanted}xx, got {line}");
                return line;
            }
        }
    }

    /// Delivers one message in a session of its own, pipelined as MTAs do.
    pub async fn deliver(address: SocketAddr, recipient: &str, message: &str) {
        let mut smtp = Self::open(address).await;
        smtp.reply('2').await;
        smtp.send(b"EHLO client.bench.example\r\n").await;
        smtp.reply('2').await;
        smtp.send(format!("MAIL FROM:<sender@bench.example>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n").as_bytes()).await;
        smtp.reply('2').await;
        smtp.reply('2').await;
        smtp.reply('3').await;
        let mut data = message.replace("\r\n.", "\r\n..");
        data.push_str(".\r\n");
        smtp.send(data.as_bytes()).await;
        smtp.reply('2').await;
        smtp.send(b"QUIT\r\n").await;
        smtp.reply('2').await;
    }

    /// Opens an IMAP session.
    pub async fn login(address: SocketAddr, login: &str, password: &str) -> Self {
        let mut imap = Self::open(address).await;
        imap.line().await;
        imap.command(&format!("LOGIN {login} {password}")).await;
        imap
    }

    /// Sends a command and returns the untagged lines of its answer. Literals are skipped.
    pub async fn command(&mut self, command: &str) -> Vec<String> {
        self.tag += 1;
        let tag = format!("b{} ", self.tag);
        self.send(format!("{tag}{command}\r\n").as_bytes()).await;
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            if let Some(result) = line.strip_prefix(&tag) {
                assert!(result.starts_with("OK"), "{command}: {result}");
                return lines;
            }
            if let Some(octets) = literal_octets(&line) {
                let mut literal = vec![0; octets];
                self.stream.read_exact(&mut literal).await.unwrap();
            }
            lines.push(line);
        }
    }

    /// Sends a command and reads its answer without looking at it. For answers without literals that look like tags.
    pub async fn drain(&mut self, command: &str) {
        self.tag += 1;
        let tag = format!("b{} ", self.tag);
        self.send(format!("{tag}{command}\r\n").as_bytes()).await;
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = self.stream.read_until(b'\n', &mut line).await.expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            if line.starts_with(tag.as_bytes()) {
                let result = String::from_utf8_lossy(&line[tag.len()..]).into_owned();
                assert!(result.starts_with("OK"), "{}: {result}", command.get(..80).unwrap_or(command));
                return;
            }
        }
    }

    /// Enters IDLE.
    pub async fn idle(&mut self) {
        self.send(b"idle IDLE\r\n").await;
        while !self.line().await.starts_with('+') {}
    }

    /// Waits in IDLE for the next EXISTS.
    pub async fn wait_for_exists(&mut self) {
        while !self.line().await.contains("EXISTS") {}
    }

    pub async fn done(&mut self) {
        self.send(b"DONE\r\n").await;
        while !self.line().await.starts_with("idle ") {}
    }
}

fn literal_octets(line: &str) -> Option<usize> {
    line.trim_end().strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}
