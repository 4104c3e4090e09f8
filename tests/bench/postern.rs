//! Postern, as `postern serve` on a new data folder.

use crate::measure::{Plan, Server, account};
use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const PASSWORD: &str = "bench";

/// What the sender's checks ask for. A server that asks names that nobody serves measures its time-outs.
const ZONE: &str = "$TTL 300
bench.example.          TXT  \"v=spf1 ip4:127.0.0.1 -all\"
_dmarc.bench.example.   TXT  \"v=DMARC1; p=none\"
client.bench.example.   A    127.0.0.1
1.0.0.127.in-addr.arpa. PTR  client.bench.example.
";

struct Running {
    child: Child,
    _names: postern::dns::ZoneServer,
    _data: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn start(plan: &Plan) -> Result<Server, String> {
    let names = postern::dns::ZoneServer::start(ZONE).await.map_err(|error| error.to_string())?;
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debug/postern");
    let program = std::env::var_os("POSTERN_PROGRAM").map_or(program, PathBuf::from);
    let data = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (smtp, imap) = (free_address(), free_address());
    administer(&program, data.path(), &["domain", "add", "bench.test"])?;
    for index in 0..plan.accounts {
        administer(&program, data.path(), &["account", "add", &account(index), "--password-stdin"])?;
    }
    let child = Command::new(&program)
        .arg("serve")
        .args(["--data".as_ref(), data.path().as_os_str()])
        .args(["--set", &format!("mx.listen=[\"{smtp}\"]")])
        .args(["--set", &format!("imap.listen_starttls=[\"{imap}\"]")])
        .args([
            "--set",
            "imap.listen_tls=[]",
            "--set",
            "submission.listen_starttls=[]",
            "--set",
            "submission.listen_tls=[]",
        ])
        .args(["--set", "metrics.listen=[]", "--set", &format!("dns.servers=[\"{}\"]", names.address())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error} (build it with `make build`)", program.display()))?;
    let server = Server {
        smtp,
        imap,
        password: PASSWORD.to_owned(),
        data: vec![data.path().to_owned()],
        processes: vec![child.id()],
        guard: Box::new(Running { child, _names: names, _data: data }),
    };
    wait_for(imap)?;
    Ok(server)
}

fn administer(program: &Path, data: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut child = Command::new(program)
        .args(arguments)
        .args(["--data".as_ref(), data.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error} (build it with `make build`)", program.display()))?;
    let mut input = child.stdin.take().expect("standard input is a pipe");
    input.write_all(PASSWORD.as_bytes()).map_err(|error| error.to_string())?;
    drop(input);
    let status = child.wait().map_err(|error| error.to_string())?;
    status.success().then_some(()).ok_or(format!("postern {arguments:?}: {status}"))
}

/// A loopback address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback has a free port")
}

pub fn wait_for(address: SocketAddr) -> Result<(), String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("nothing listens on {address} after 20 s"))
}
