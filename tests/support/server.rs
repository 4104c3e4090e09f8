//! The real program on a data folder of its own, with free loopback ports.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// A running `postern serve`. Dropping it kills it; its folder stays with the caller.
pub struct Server {
    child: Child,
    /// Where it takes SMTP.
    pub smtp: SocketAddr,
    /// Where it takes IMAP in the clear (logins are allowed on loopback).
    pub imap: SocketAddr,
}

/// The domain of the test accounts.
pub const DOMAIN: &str = "example.org";
/// Their password.
pub const PASSWORD: &str = "correct horse";

impl Server {
    /// Starts the server on `data`, with further settings as `key=value`.
    pub fn start(data: &Path, settings: &[&str]) -> Self {
        Self::start_with(data, settings, &[])
    }

    /// Starts the server with environment variables.
    pub fn start_with(data: &Path, settings: &[&str], environment: &[(&str, &str)]) -> Self {
        let (smtp, imap) = (free_address(), free_address());
        let mut command = Command::new(program());
        command.arg("serve").arg("--data").arg(data).envs(environment.iter().copied());
        let fixed = [
            format!("mx.listen=[\"{smtp}\"]"),
            format!("imap.listen_starttls=[\"{imap}\"]"),
            "imap.listen_tls=[]".to_owned(),
            "submission.listen_starttls=[]".to_owned(),
            "submission.listen_tls=[]".to_owned(),
            "metrics.listen=[]".to_owned(),
        ];
        fixed.iter().map(String::as_str).chain(settings.iter().copied()).for_each(|setting| {
            command.args(["--set", setting]);
        });
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log(data)).spawn().unwrap();
        let mut server = Self { child, smtp, imap };
        server.wait_for(smtp);
        server.wait_for(imap);
        server
    }

    /// Ends the process as a power cut would, as far as a process can: SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    fn wait_for(&mut self, address: SocketAddr) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            assert!(!self.has_ended(), "the server ended before it listened");
            assert!(Instant::now() < deadline, "nothing listens on {address}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn log(data: &Path) -> Stdio {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(data.with_extension("log"));
    file.map_or_else(|_| Stdio::null(), Stdio::from)
}

/// The program under test.
pub fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_postern").into()
}

/// Runs `postern` with these arguments on `data`, `input` on its standard input, and returns what it printed.
pub fn postern(data: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program())
        .args(arguments)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut standard_input = child.stdin.take().unwrap();
    // A command that reads no input may have ended already.
    let _ = standard_input.write_all(input.as_bytes());
    drop(standard_input);
    child.wait_with_output().unwrap()
}

/// Like [`postern`], for what must succeed; returns its standard output.
pub fn succeed(data: &Path, arguments: &[&str], input: &str) -> String {
    let output = postern(data, arguments, input);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "postern {arguments:?}: {}\n{error}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A data folder with the test domain and these accounts.
pub fn prepared(accounts: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    succeed(&data, &["domain", "add", DOMAIN], "");
    for account in accounts {
        let address = format!("{account}@{DOMAIN}");
        succeed(&data, &["account", "add", &address, "--password-stdin"], PASSWORD);
    }
    (folder, data)
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
