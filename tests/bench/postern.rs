//! Postern, as `postern serve` on a new data folder.

use crate::{
    large,
    measure::{Plan, Server, account},
};
use ::postern::{
    clock::{Clock, UnixMillis},
    mail::{AccountId, Flag, Flags, MailboxId},
    store::{NewMessage, Settings, Store, Target},
};
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
    _names: ::postern::dns::ZoneServer,
    _data: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A data folder with the domain and so many accounts.
fn prepare(accounts: usize) -> Result<(PathBuf, tempfile::TempDir), String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debug/postern");
    let program = std::env::var_os("POSTERN_PROGRAM").map_or(program, PathBuf::from);
    let data = tempfile::tempdir().map_err(|error| error.to_string())?;
    administer(&program, data.path(), &["domain", "add", "bench.test"])?;
    for index in 0..accounts {
        administer(&program, data.path(), &["account", "add", &account(index), "--password-stdin"])?;
    }
    Ok((program, data))
}

pub async fn start(plan: &Plan) -> Result<Server, String> {
    let (program, data) = prepare(plan.accounts)?;
    serve(&program, data).await
}

/// With large mailboxes in the first account. Also returns at which rate they were filled.
pub async fn start_large(plan: &large::Plan) -> Result<(Server, String), String> {
    let (program, data) = prepare(1)?;
    let settings = Settings::at(data.path().join("store"));
    let store = Store::open(settings, Clock::real()).await.map_err(|error| error.to_string())?;
    let filled = fill(&store, plan).await;
    store.close().await;
    drop(store);
    Ok((serve(&program, data).await?, filled))
}

/// By the append that imports use, 500 messages a commit.
async fn fill(store: &Store, plan: &large::Plan) -> String {
    let account = *store.account_ids().unwrap().first().expect("one account was made");
    let begun = Instant::now();
    for mailbox in 0..plan.mailboxes {
        let id = match store.mailbox(account, &large::Plan::mailbox(mailbox)) {
            Ok(entry) => entry.id,
            Err(_) => store.create_mailbox(account, &large::Plan::mailbox(mailbox), None).await.unwrap().id,
        };
        for start in (0..plan.messages).step_by(500) {
            let numbers = start..(start + 500).min(plan.messages);
            let group = numbers.map(|number| generated(plan, mailbox, number, (account, id)));
            store.append_all(group.collect()).await.unwrap();
        }
    }
    let rate = (plan.mailboxes * plan.messages) as f64 / begun.elapsed().as_secs_f64();
    // The index follows; what is measured afterwards should not share the machine with it.
    let begun = Instant::now();
    while store.index_statistics(account).unwrap().tail > 128 && begun.elapsed() < Duration::from_secs(600) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let indexed = store.index_statistics(account).unwrap();
    println!("  {} messages indexed {:.0} s later", indexed.documents, begun.elapsed().as_secs_f64());
    format!("{rate:.0}")
}

fn generated(
    plan: &large::Plan,
    of: u64,
    number: u64,
    (account, mailbox): (AccountId, MailboxId),
) -> (NewMessage, Target) {
    let raw = plan.message(of, number).into_bytes();
    let analysis = std::sync::Arc::new(::postern::message::analyse(&raw));
    let internal_date = UnixMillis(1_700_000_000_000 + number as i64 * 1000);
    let flags = if number.is_multiple_of(2) { Flags::from_iter([Flag::Flagged]) } else { Flags::default() };
    let target = Target { account, mailbox, flags, trace: Default::default(), verdict: None };
    (NewMessage { raw: raw.into(), analysis, internal_date, repeat: None }, target)
}

async fn serve(program: &Path, data: tempfile::TempDir) -> Result<Server, String> {
    let names = ::postern::dns::ZoneServer::start(ZONE).await.map_err(|error| error.to_string())?;
    let (smtp, imap) = (free_address(), free_address());
    let child = Command::new(program)
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
