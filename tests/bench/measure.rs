//! What is measured, on any server that speaks SMTP and IMAP on loopback.

use crate::{
    client::Connection,
    generate::{Random, common_and_middling, message},
    io::{Io, Meter},
};
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// The size of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub messages: usize,
    pub octets: usize,
    pub sessions: usize,
    pub accounts: usize,
    pub pushes: usize,
    pub searches: usize,
    pub rounds: usize,
}

impl Plan {
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut plan =
            Self { messages: 4000, octets: 4000, sessions: 16, accounts: 20, pushes: 200, searches: 50, rounds: 1 };
        while let Some(name) = arguments.next() {
            let value = arguments.next().and_then(|value| value.parse().ok());
            let value = value.unwrap_or_else(|| panic!("{name} takes a number"));
            match name.as_str() {
                "--messages" => plan.messages = value,
                "--octets" => plan.octets = value,
                "--sessions" => plan.sessions = value,
                "--accounts" => plan.accounts = value,
                "--pushes" => plan.pushes = value,
                "--searches" => plan.searches = value,
                "--rounds" => plan.rounds = value,
                _ => panic!(
                    "unknown option {name}: --messages --octets --sessions --accounts --pushes --searches --rounds"
                ),
            }
        }
        plan
    }
}

/// A running server.
pub struct Server {
    pub smtp: SocketAddr,
    pub imap: SocketAddr,
    pub password: String,
    /// Folders whose size is the server's disk use.
    pub data: Vec<PathBuf>,
    /// Root processes whose trees' CPU time is the server's.
    pub processes: Vec<u32>,
    /// Stops the server and removes its data when dropped.
    #[expect(dead_code, reason = "held for its drop")]
    pub guard: Box<dyn std::any::Any>,
}

/// The login of an account; every server has the same ones.
pub fn account(index: usize) -> String {
    format!("user{index}@bench.test")
}

/// What came out.
pub struct Figures {
    acknowledged: f64,
    delivered: f64,
    cpu_ms: f64,
    disk_ratio: f64,
    /// Octets written over octets sent.
    written_ratio: f64,
    /// Calls of fsync and its like a message, where they could be counted.
    syncs: Option<f64>,
    push_ms: (f64, f64),
    /// Name of the class, p50 and p99 in ms, messages found.
    searches: Vec<(String, f64, f64, usize)>,
}

pub async fn run(server: &Server, plan: &Plan) -> Figures {
    let cpu_before = cpu_seconds(&server.processes);
    let meter = Meter::start(&server.processes);
    let (acknowledged, delivered, wire) = ingest(server, plan).await;
    let Io { written, syncs } = meter.stop();
    let (written_ratio, syncs) = (written as f64 / wire as f64, syncs.map(|syncs| syncs as f64 / plan.messages as f64));
    let cpu_ms = (cpu_seconds(&server.processes) - cpu_before) * 1000.0 / plan.messages as f64;
    let disk_ratio = octets_below(&server.data) as f64 / wire as f64;
    let push_ms = push(server, plan).await;
    let searches = search(server, plan).await;
    Figures { acknowledged, delivered, cpu_ms, disk_ratio, written_ratio, syncs, push_ms, searches }
}

async fn ingest(server: &Server, plan: &Plan) -> (f64, f64, usize) {
    let messages: Arc<Vec<(String, String)>> = Arc::new(
        (0..plan.messages)
            .map(|index| {
                let recipient = account(index % plan.accounts);
                let text = message(index as u64, plan.octets, &recipient);
                (recipient, text)
            })
            .collect(),
    );
    let wire = messages.iter().map(|(_, text)| text.len()).sum();
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let sessions: Vec<_> = (0..plan.sessions)
        .map(|_| {
            let (messages, next, smtp) = (Arc::clone(&messages), Arc::clone(&next), server.smtp);
            tokio::spawn(async move {
                while let Some((recipient, text)) = messages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    Connection::deliver(smtp, recipient, text).await;
                }
            })
        })
        .collect();
    for session in sessions {
        session.await.unwrap();
    }
    let acknowledged = plan.messages as f64 / start.elapsed().as_secs_f64();
    wait_until_visible(server, plan).await;
    (acknowledged, plan.messages as f64 / start.elapsed().as_secs_f64(), wire)
}

async fn wait_until_visible(server: &Server, plan: &Plan) {
    let deadline = Instant::now() + Duration::from_secs(120);
    for index in 0..plan.accounts {
        let wanted = plan.messages / plan.accounts + usize::from(index < plan.messages % plan.accounts);
        let mut imap = Connection::login(server.imap, &account(index), &server.password).await;
        loop {
            let answer = imap.command("STATUS INBOX (MESSAGES)").await.concat();
            let count =
                answer.split("MESSAGES ").nth(1).and_then(|rest| rest.split(')').next()).and_then(|n| n.parse().ok());
            if count == Some(wanted) {
                break;
            }
            assert!(Instant::now() < deadline, "{} shows {answer} of {wanted} messages", account(index));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// From the moment the 250 is read to the moment the idling client reads EXISTS. Zero where EXISTS came first.
async fn push(server: &Server, plan: &Plan) -> (f64, f64) {
    let mut imap = Connection::login(server.imap, &account(0), &server.password).await;
    imap.command("SELECT INBOX").await;
    let mut delays = Vec::new();
    for index in 0..plan.pushes {
        imap.idle().await;
        let text = message((plan.messages + index) as u64, plan.octets, &account(0));
        let (sender, recipient) = (server.smtp, account(0));
        let delivery = tokio::spawn(async move {
            Connection::deliver(sender, &recipient, &text).await;
            Instant::now()
        });
        imap.wait_for_exists().await;
        let pushed = Instant::now();
        let acknowledged = delivery.await.unwrap();
        delays.push(pushed.saturating_duration_since(acknowledged));
        imap.done().await;
    }
    percentiles(delays)
}

/// Makes the next search key of a class.
type KeyMaker<'a> = Box<dyn FnMut() -> String + 'a>;

async fn search(server: &Server, plan: &Plan) -> Vec<(String, f64, f64, usize)> {
    let mut imap = Connection::login(server.imap, &account(0), &server.password).await;
    imap.command("SELECT INBOX").await;
    let (common, middling) = common_and_middling();
    let part = middling[1..middling.len() - 1].to_owned();
    let mut random = Random::new(7);
    let classes: [(&str, KeyMaker<'_>); 5] = [
        (
            "rare word",
            Box::new(move || {
                let seed = random.below((plan.messages / plan.accounts) as u64) * plan.accounts as u64;
                format!("TEXT marker{seed:08x}marker")
            }),
        ),
        ("common word", Box::new(move || format!("BODY {common}"))),
        ("part of a word", Box::new(move || format!("BODY {part}"))),
        ("header", Box::new(|| "FROM sender17@".to_owned())),
        ("no hit", Box::new(|| "TEXT qqxqqxqq".to_owned())),
    ];
    let mut rows = Vec::new();
    for (name, mut key) in classes {
        let (mut delays, mut found) = (Vec::new(), 0);
        for _ in 0..plan.searches {
            let command = format!("UID SEARCH {}", key());
            let start = Instant::now();
            let answer = imap.command(&command).await;
            delays.push(start.elapsed());
            found = answer.concat().split_whitespace().filter(|word| word.parse::<u32>().is_ok()).count();
        }
        let (p50, p99) = percentiles(delays);
        rows.push((name.to_owned(), p50, p99, found));
    }
    rows
}

fn percentiles(mut delays: Vec<Duration>) -> (f64, f64) {
    delays.sort();
    let at =
        |share: f64| delays.get(((delays.len() as f64 - 1.0) * share) as usize).map_or(0.0, |d| d.as_secs_f64() * 1e3);
    (at(0.5), at(0.99))
}

/// CPU seconds of these processes and all below them, ended children included.
fn cpu_seconds(roots: &[u32]) -> f64 {
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if descends(id, roots) {
            ticks += stat(id).map_or(0, |fields| fields[11..15].iter().sum());
        }
    }
    ticks as f64 / 100.0
}

pub fn descends(mut id: u32, roots: &[u32]) -> bool {
    while id > 1 {
        if roots.contains(&id) {
            return true;
        }
        let Some(fields) = stat(id) else { return false };
        id = fields[1] as u32;
    }
    false
}

/// The fields of /proc/ID/stat after the command name, as numbers.
fn stat(id: u32) -> Option<Vec<u64>> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect())
}

fn octets_below(folders: &[PathBuf]) -> u64 {
    let mut octets = 0;
    let mut left = folders.to_vec();
    while let Some(folder) = left.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => left.push(entry.path()),
                Ok(metadata) => octets += std::os::unix::fs::MetadataExt::blocks(&metadata) * 512,
                Err(_) => {}
            }
        }
    }
    octets
}

pub fn print(rows: &[(String, Figures)]) {
    println!(
        "\n{:<28} {:>8} {:>9} {:>8} {:>6} {:>8} {:>6} {:>15}",
        "", "250/s", "visible/s", "CPU ms", "disk", "written", "syncs", "push p50/p99 ms"
    );
    for (name, figures) in rows {
        println!(
            "{name:<28} {:>8.0} {:>9.0} {:>8.2} {:>6.2} {:>8.2} {:>6} {:>7.2} /{:>6.2}",
            figures.acknowledged,
            figures.delivered,
            figures.cpu_ms,
            figures.disk_ratio,
            figures.written_ratio,
            figures.syncs.map_or_else(|| "-".to_owned(), |syncs| format!("{syncs:.2}")),
            figures.push_ms.0,
            figures.push_ms.1
        );
    }
    println!("\n{:<28} {:<16} {:>8} {:>8} {:>6}", "search", "", "p50 ms", "p99 ms", "hits");
    for (name, figures) in rows {
        for (class, p50, p99, found) in &figures.searches {
            println!("{name:<28} {class:<16} {p50:>8.2} {p99:>8.2} {found:>6}");
        }
    }
    println!("\n250/s: acknowledged; visible/s: until STATUS of every account shows them; CPU: server's, a message;");
    println!("disk: blocks of the data folders over octets sent; written: octets written over octets sent;");
    println!("syncs: calls of fsync, fdatasync and msync a message; push: from the 250 to EXISTS in IDLE.");
}
