//! Every setting. `config.toml` says what each is for.

use super::AtMost;
use crate::{limits, mail::Domain};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Everything an administrator may set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The server as a whole.
    pub server: Server,
    /// Mail from other servers.
    pub mx: Mx,
    /// Mail from our users' clients.
    pub submission: Submission,
    /// Mailboxes.
    pub imap: Imap,
    /// Certificates.
    pub tls: Tls,
    /// Name servers.
    pub dns: Dns,
    /// Where mail is kept.
    pub store: Store,
    /// The spam filter.
    pub spam: Spam,
    /// Bounds that several services share.
    pub limits: Limits,
    /// Administration.
    pub control: Control,
    /// Metrics and health.
    pub metrics: Metrics,
    /// What is logged.
    pub log: Log,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Our name in greetings and trace fields; empty means the machine's.
    pub hostname: String,
    /// The data folder.
    pub data: PathBuf,
}

impl Default for Server {
    fn default() -> Self {
        Self { hostname: String::new(), data: "/var/lib/postern".into() }
    }
}

/// `[mx]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mx {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Connections at once to one listener.
    pub connections_max: usize,
    /// Of these, from one address.
    pub connections_per_address_max: usize,
}

impl Default for Mx {
    fn default() -> Self {
        Self { listen: vec![everywhere(25)], connections_max: 1000, connections_per_address_max: 50 }
    }
}

/// `[submission]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Submission {
    /// Where to listen with STARTTLS.
    pub listen_starttls: Vec<SocketAddr>,
    /// Where to listen with TLS from the first octet.
    pub listen_tls: Vec<SocketAddr>,
    /// Connections at once to one listener.
    pub connections_max: usize,
    /// Of these, from one address.
    pub connections_per_address_max: usize,
}

impl Default for Submission {
    fn default() -> Self {
        Self {
            listen_starttls: vec![everywhere(587)],
            listen_tls: vec![everywhere(465)],
            connections_max: 1000,
            connections_per_address_max: 100,
        }
    }
}

/// `[imap]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Imap {
    /// Where to listen with STARTTLS.
    pub listen_starttls: Vec<SocketAddr>,
    /// Where to listen with TLS from the first octet.
    pub listen_tls: Vec<SocketAddr>,
    /// Who may log in outside TLS.
    pub clear_login: ClearLogin,
    /// Connections at once to one listener.
    pub connections_max: usize,
    /// Of these, from one address.
    pub connections_per_address_max: usize,
}

impl Default for Imap {
    fn default() -> Self {
        Self {
            listen_starttls: vec![everywhere(143)],
            listen_tls: vec![everywhere(993)],
            clear_login: ClearLogin::Loopback,
            connections_max: 20_000,
            connections_per_address_max: 1000,
        }
    }
}

/// Who may log in outside TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClearLogin {
    /// Nobody.
    Refused,
    /// Clients on the same machine.
    Loopback,
}

/// `[tls]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file of the certificate chain; empty for a self-signed one.
    pub certificate: PathBuf,
    /// PEM file of its key.
    pub key: PathBuf,
}

/// `[dns]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Resolvers with their ports; empty means those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
    /// How long one query waits, in milliseconds.
    pub timeout_ms: u64,
    /// How often a query is sent.
    pub attempts: usize,
    /// Answers kept.
    pub cache_entries: u64,
}

impl Default for Dns {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout_ms: 2000, attempts: 2, cache_entries: 10_000 }
    }
}

/// `[store]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Partitions that accounts are hashed onto; fixed when the store is made.
    pub partitions: u16,
    /// RocksDB's block cache, in octets.
    pub cache_octets: usize,
    /// Seconds until new mail is moved from the log into packs.
    pub pack_after_seconds: u64,
    /// Hours that a content without a reference is kept.
    pub sweep_grace_hours: u64,
    /// URL of packs and index bundles; empty for a folder beside the metadata.
    pub objects: String,
    /// What the service behind that URL needs to know.
    pub objects_options: BTreeMap<String, String>,
    /// Days for which deleted mail and removed accounts can be brought back.
    pub undelete_days: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            partitions: 16,
            cache_octets: 64 * 1024 * 1024,
            pack_after_seconds: 60,
            sweep_grace_hours: limits::SWEEP_GRACE_HOURS_DEFAULT,
            objects: String::new(),
            objects_options: BTreeMap::new(),
            undelete_days: limits::UNDELETE_DAYS_DEFAULT,
        }
    }
}

/// `[spam]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Spam {
    /// Probability from which a message goes to Junk.
    pub junk: f32,
    /// Probability from which a message is refused.
    pub reject: f32,
    /// Model file; empty for the one of this release.
    pub model: PathBuf,
}

impl Default for Spam {
    fn default() -> Self {
        Self { junk: 0.9, reject: 0.9995, model: PathBuf::new() }
    }
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Octets of one message.
    pub message_octets_max: u64,
    /// Octets of messages in memory at once, over all SMTP sessions.
    pub content_octets_in_flight_max: u64,
    /// Octets of one account.
    pub account_octets_max: AtMost,
    /// Messages of one account.
    pub account_messages_max: AtMost,
    /// Percentages of these at which an account's owner is warned.
    pub quota_warnings: Vec<u8>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_octets_max: limits::MESSAGE_OCTETS_MAX_DEFAULT,
            content_octets_in_flight_max: limits::CONTENT_OCTETS_IN_FLIGHT_MAX,
            account_octets_max: AtMost(None),
            account_messages_max: AtMost(None),
            quota_warnings: limits::QUOTA_WARNINGS_DEFAULT.to_vec(),
        }
    }
}

/// `[control]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// The Unix socket of the `postern` command; empty means `control.sock` in the data folder.
    pub socket: PathBuf,
}

/// `[metrics]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where metrics and health are served.
    pub listen: Vec<SocketAddr>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: vec![SocketAddr::from(([127, 0, 0, 1], 9925))] }
    }
}

/// `[log]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least important lines that are written.
    pub level: LogLevel,
    /// Their form.
    pub format: LogFormat,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What lost a service or needs somebody now.
    Error,
    /// And what may need somebody later.
    Warn,
    /// And one line per message and start.
    #[default]
    Info,
    /// And sessions.
    Debug,
    /// And what is of use to developers.
    Trace,
}

impl LogLevel {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Every address of the machine, IPv4 included.
fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::from(([0u16; 8], port))
}

/// A value that no check lets through.
pub(super) struct Fault {
    pub(super) key: &'static str,
    pub(super) message: String,
}

impl Config {
    /// Our name: the one set, or the machine's where that can stand in a greeting, or `localhost`.
    pub fn hostname(&self) -> String {
        if !self.server.hostname.is_empty() {
            return self.server.hostname.clone();
        }
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        machine.trim().parse::<Domain>().map_or_else(|_| "localhost".to_owned(), |name| name.to_string())
    }

    /// Where the `postern` command meets the server.
    pub fn control_socket(&self) -> PathBuf {
        non_empty(&self.control.socket).map_or_else(|| self.server.data.join("control.sock"), Path::to_owned)
    }

    /// The certificate's and key's files that were set, or `None` for self-signed ones.
    pub fn certificate(&self) -> Option<(&Path, &Path)> {
        non_empty(&self.tls.certificate).zip(non_empty(&self.tls.key))
    }

    /// The model file that was set.
    pub fn spam_model(&self) -> Option<&Path> {
        non_empty(&self.spam.model)
    }

    /// How long one DNS query waits.
    pub fn dns_timeout(&self) -> Duration {
        Duration::from_millis(self.dns.timeout_ms)
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        self.check_names()?;
        self.check_connections()?;
        self.check_spam()?;
        within("dns.timeout_ms", self.dns.timeout_ms, 1, 60_000)?;
        within("dns.attempts", self.dns.attempts, 1, 10)?;
        within("dns.cache_entries", self.dns.cache_entries, 1, 10_000_000)?;
        within("store.partitions", self.store.partitions, 1, 256)?;
        within("store.cache_octets", self.store.cache_octets, 1 << 20, 1 << 40)?;
        within("store.pack_after_seconds", self.store.pack_after_seconds, 1, 86_400)?;
        within("store.sweep_grace_hours", self.store.sweep_grace_hours, 1, 24 * 366)?;
        within("store.undelete_days", self.store.undelete_days, 0, 3650)?;
        // RFC 5321 §4.5.3.1.7 asks for 64 KiB at least.
        within("limits.message_octets_max", self.limits.message_octets_max, 64 << 10, 1 << 30)?;
        for warning in &self.limits.quota_warnings {
            within("limits.quota_warnings", *warning, 1, 100)?;
        }
        let (least, most) = (self.limits.message_octets_max, 1 << 40);
        within("limits.content_octets_in_flight_max", self.limits.content_octets_in_flight_max, least, most)
    }

    fn check_names(&self) -> Result<(), Fault> {
        let name = &self.server.hostname;
        if !name.is_empty() && name.parse::<Domain>().is_err() {
            return Err(fault("server.hostname", format!("must be a host name such as mx.example.org, not `{name}`")));
        }
        if self.server.data.as_os_str().is_empty() {
            return Err(fault("server.data", "must name a folder"));
        }
        match (non_empty(&self.tls.certificate), non_empty(&self.tls.key)) {
            (Some(_), None) => Err(fault("tls.certificate", "is set without tls.key")),
            (None, Some(_)) => Err(fault("tls.key", "is set without tls.certificate")),
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }

    fn check_connections(&self) -> Result<(), Fault> {
        let (mx, submission, imap) = (&self.mx, &self.submission, &self.imap);
        for (key, value) in [
            ("mx.connections_max", mx.connections_max),
            ("mx.connections_per_address_max", mx.connections_per_address_max),
            ("submission.connections_max", submission.connections_max),
            ("submission.connections_per_address_max", submission.connections_per_address_max),
            ("imap.connections_max", imap.connections_max),
            ("imap.connections_per_address_max", imap.connections_per_address_max),
        ] {
            within(key, value, 1, 1_000_000)?;
        }
        Ok(())
    }

    fn check_spam(&self) -> Result<(), Fault> {
        for (key, value) in [("spam.junk", self.spam.junk), ("spam.reject", self.spam.reject)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(fault(key, format!("must be a probability from 0.0 to 1.0, not {value}")));
            }
        }
        if self.spam.reject < self.spam.junk {
            let (junk, reject) = (self.spam.junk, self.spam.reject);
            return Err(fault("spam.reject", format!("is {reject}, below spam.junk, which is {junk}")));
        }
        Ok(())
    }
}

fn within<T: PartialOrd + std::fmt::Display>(key: &'static str, value: T, least: T, most: T) -> Result<(), Fault> {
    if value < least || value > most {
        return Err(fault(key, format!("must be from {least} to {most}, not {value}")));
    }
    Ok(())
}

fn fault(key: &'static str, message: impl Into<String>) -> Fault {
    Fault { key, message: message.into() }
}

fn non_empty(path: &Path) -> Option<&Path> {
    Some(path).filter(|path| !path.as_os_str().is_empty())
}
