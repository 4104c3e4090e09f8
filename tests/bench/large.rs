//! Large mailboxes: what SELECT, STATUS, FETCH, APPEND, STORE, COPY, SEARCH and EXPUNGE cost in one of a million messages, and
//! what a session holds for each message. `make bench BENCH="large --messages 1000000"`, or `--messages 100000
//! --mailboxes 10`. Both servers are filled with the same mail: Postern by the append of its imports, Dovecot by
//! MULTIAPPEND over IMAP.

use crate::{
    client::Connection,
    debian,
    generate::message,
    measure::{Server, account, descends},
    postern,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub messages: u64,
    pub mailboxes: u64,
    pub octets: usize,
    pub sessions: u64,
    /// Whether Dovecot is measured too.
    pub peers: u64,
}

impl Plan {
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut plan = Self { messages: 100_000, mailboxes: 1, octets: 400, sessions: 20, peers: 1 };
        while let Some(name) = arguments.next() {
            let value = arguments.next().and_then(|value| value.parse().ok());
            let value: u64 = value.unwrap_or_else(|| panic!("{name} takes a number"));
            match name.as_str() {
                "--messages" => plan.messages = value,
                "--mailboxes" => plan.mailboxes = value,
                "--octets" => plan.octets = value as usize,
                "--sessions" => plan.sessions = value,
                "--peers" => plan.peers = value,
                _ => panic!("unknown option {name}: --messages --mailboxes --octets --sessions --peers"),
            }
        }
        plan
    }

    /// The name of a mailbox; the first is INBOX.
    pub fn mailbox(number: u64) -> String {
        if number == 0 { "INBOX".to_owned() } else { format!("folder{number}") }
    }

    /// A message of a mailbox. Every second one is `\Flagged`.
    pub fn message(&self, mailbox: u64, number: u64) -> String {
        message(mailbox * self.messages + number, self.octets, &account(0))
    }
}

/// Names of what was measured with a figure each, in order.
struct Report {
    names: Vec<String>,
    figures: BTreeMap<(String, usize), String>,
    column: usize,
}

impl Report {
    fn add(&mut self, name: &str, figure: String) {
        if !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
        println!("  {name}: {figure}");
        self.figures.insert((name.to_owned(), self.column), figure);
    }

    fn time(&mut self, name: &str, begun: Instant) {
        self.add(name, format!("{:.2} ms", begun.elapsed().as_secs_f64() * 1e3));
    }

    fn print(&self, columns: &[&str]) {
        println!("\n{:<44} {}", "", columns.iter().map(|name| format!("{name:>22}")).collect::<String>());
        for name in &self.names {
            let figure = |column| self.figures.get(&(name.clone(), column)).map_or("-", String::as_str);
            let row: String = (0..columns.len()).map(|column| format!("{:>22}", figure(column))).collect();
            println!("{name:<44} {row}");
        }
        println!("\nTwo times: until the answer, and CPU of the server. Memory: resident, without shared pages.");
    }
}

pub fn run(plan: Plan) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("{} mailboxes of {} messages of about {} octets", plan.mailboxes, plan.messages, plan.octets);
    let mut report = Report { names: Vec::new(), figures: BTreeMap::new(), column: 0 };
    let mut columns = Vec::new();
    println!("postern");
    match runtime.block_on(postern::start_large(&plan)) {
        Ok((server, filled)) => {
            report.add("fill, messages/s", filled);
            runtime.block_on(measure(&server, &plan, &mut report));
            columns.push("postern");
        }
        Err(reason) => println!("postern: not measured, {reason}"),
    }
    if plan.peers > 0 {
        report.column = columns.len();
        println!("dovecot");
        match debian::start_dovecot() {
            Ok(server) => {
                let filled = runtime.block_on(fill_by_imap(&server, &plan));
                report.add("fill, messages/s", filled);
                runtime.block_on(measure(&server, &plan, &mut report));
                columns.push("dovecot");
            }
            Err(reason) => println!("dovecot: not measured, {reason}"),
        }
    }
    report.print(&columns);
}

/// MULTIAPPEND (RFC 3502), 500 messages a command.
async fn fill_by_imap(server: &Server, plan: &Plan) -> String {
    let mut imap = Connection::login(server.imap, &account(0), &server.password).await;
    let begun = Instant::now();
    for mailbox in 0..plan.mailboxes {
        let name = Plan::mailbox(mailbox);
        if mailbox > 0 {
            imap.command(&format!("CREATE {name}")).await;
        }
        for start in (0..plan.messages).step_by(500) {
            let mut command = format!("APPEND {name}");
            for number in start..(start + 500).min(plan.messages) {
                let text = plan.message(mailbox, number);
                let flags = if number.is_multiple_of(2) { " (\\Flagged)" } else { "" };
                command += &format!("{flags} {{{}+}}\r\n{text}", text.len());
            }
            imap.drain(&command).await;
        }
    }
    format!("{:.0}", (plan.mailboxes * plan.messages) as f64 / begun.elapsed().as_secs_f64())
}

async fn measure(server: &Server, plan: &Plan, report: &mut Report) {
    let mut imap = Connection::login(server.imap, &account(0), &server.password).await;
    let before = memory(server);
    for (mailbox, what) in [(0, "first"), (plan.mailboxes - 1, "last")].into_iter().take(plan.mailboxes.min(2) as usize)
    {
        let begun = Instant::now();
        imap.drain(&format!("STATUS {} (MESSAGES UNSEEN UIDNEXT)", Plan::mailbox(mailbox))).await;
        report.time(&format!("STATUS, {what} mailbox, cold"), begun);
    }
    let begun = Instant::now();
    for mailbox in 0..plan.mailboxes {
        imap.drain(&format!("SELECT {}", Plan::mailbox(mailbox))).await;
    }
    report.time("SELECT each mailbox, cold", begun);
    for (name, command) in [
        ("STATUS, p50", "STATUS INBOX (MESSAGES UNSEEN UIDNEXT)"),
        ("NOOP, p50", "NOOP"),
        ("SELECT INBOX, warm, p50", "SELECT INBOX"),
    ] {
        repeat(&mut imap, report, name, command, 20).await;
    }
    reading(&mut imap, plan, report).await;
    append(&mut imap, plan, report).await;
    sessions(server, plan, report).await;
    changing(&mut imap, server, plan, report).await;
    report.add("server, resident before, MB", megabytes(before));
    report.add("server, resident after, MB", megabytes(memory(server)));
}

async fn repeat(imap: &mut Connection, report: &mut Report, name: &str, command: &str, times: u32) {
    let mut delays = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        imap.drain(command).await;
        delays.push(begun.elapsed());
    }
    delays.sort();
    report.add(name, format!("{:.2} ms", delays[delays.len() / 2].as_secs_f64() * 1e3));
}

async fn reading(imap: &mut Connection, plan: &Plan, report: &mut Report) {
    imap.drain("SELECT INBOX").await;
    let middle = plan.messages / 2;
    repeat(imap, report, "UID FETCH 1:* (FLAGS), p50", "UID FETCH 1:* (FLAGS)", 3).await;
    let page = format!("FETCH {middle}:{} (UID FLAGS ENVELOPE)", middle + 49);
    repeat(imap, report, "FETCH a page of 50 envelopes, p50", &page, 9).await;
    for (name, key) in [
        ("SEARCH FLAGGED", "FLAGGED".to_owned()),
        ("SEARCH RETURN (COUNT) FLAGGED", String::new()),
        ("SEARCH UID n", format!("UID {middle}")),
        ("SEARCH TEXT marker", format!("TEXT marker{middle:08x}marker")),
    ] {
        let command = if key.is_empty() { name.to_owned() } else { format!("SEARCH {key}") };
        repeat(imap, report, &format!("{name}, p50"), &command, 3).await;
    }
}

async fn append(imap: &mut Connection, plan: &Plan, report: &mut Report) {
    let mut delays = Vec::new();
    for number in 0..50 {
        let text = plan.message(plan.mailboxes, number);
        let begun = Instant::now();
        imap.drain(&format!("APPEND INBOX (\\Seen) {{{}+}}\r\n{text}", text.len())).await;
        delays.push(begun.elapsed());
    }
    delays.sort();
    report.add("APPEND, p50", format!("{:.2} ms", delays[25].as_secs_f64() * 1e3));
}

/// Memory that further sessions take which have the mailbox open.
async fn sessions(server: &Server, plan: &Plan, report: &mut Report) {
    let before = memory(server);
    let mut open = Vec::new();
    for _ in 0..plan.sessions {
        let mut imap = Connection::login(server.imap, &account(0), &server.password).await;
        imap.drain("SELECT INBOX").await;
        open.push(imap);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let more = memory(server).saturating_sub(before);
    let octets = more as f64 / plan.sessions as f64 / plan.messages as f64;
    report.add("session, octets a message", format!("{octets:.2}"));
    for mut imap in open {
        imap.drain("NOOP").await;
    }
}

async fn changing(imap: &mut Connection, server: &Server, plan: &Plan, report: &mut Report) {
    for (name, command) in [
        ("STORE 1:* +FLAGS.SILENT", "STORE 1:* +FLAGS.SILENT (\\Answered)".to_owned()),
        ("STORE 1:* -FLAGS.SILENT", "STORE 1:* -FLAGS.SILENT (\\Answered)".to_owned()),
        ("STORE 1:* +FLAGS", "STORE 1:* +FLAGS (\\Answered)".to_owned()),
        ("CREATE", "CREATE copies".to_owned()),
        ("COPY of 100,000", format!("COPY 1:{} copies", plan.messages.min(100_000))),
        ("NOOP", "NOOP".to_owned()),
        ("SEARCH RETURN (SAVE) FLAGGED", "SEARCH RETURN (SAVE) FLAGGED".to_owned()),
        ("STORE half, \\Deleted, silent", "STORE $ +FLAGS.SILENT (\\Deleted)".to_owned()),
        ("EXPUNGE of half", "EXPUNGE".to_owned()),
        ("NOOP after it", "NOOP".to_owned()),
        ("DELETE of the copies", "DELETE copies".to_owned()),
    ] {
        let (cpu_before, begun) = (cpu(server), Instant::now());
        imap.drain(&command).await;
        let (elapsed, used) = (begun.elapsed(), cpu(server).saturating_sub(cpu_before));
        report.add(name, format!("{:.1} / {:.1} ms", elapsed.as_secs_f64() * 1e3, used.as_secs_f64() * 1e3));
    }
}

/// Octets that the server's processes hold for themselves: resident, without what files and other processes share.
fn memory(server: &Server) -> u64 {
    let own = |id: u32| {
        let text = std::fs::read_to_string(format!("/proc/{id}/statm")).unwrap_or_default();
        let pages: Vec<u64> = text.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        4096 * pages.get(1).zip(pages.get(2)).map_or(0, |(resident, shared)| resident.saturating_sub(*shared))
    };
    processes(server).map(own).sum()
}

/// CPU time of the server's processes that run now, to the nanosecond.
fn cpu(server: &Server) -> Duration {
    let of_thread = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0)
    };
    let of_process = |id: u32| {
        let tasks = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        tasks.map(of_thread).sum::<u64>()
    };
    Duration::from_nanos(processes(server).map(of_process).sum())
}

fn processes(server: &Server) -> impl Iterator<Item = u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|id| descends(*id, &server.processes))
}

fn megabytes(octets: u64) -> String {
    format!("{:.0}", octets as f64 / 1e6)
}
