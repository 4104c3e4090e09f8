//! Metrics and health over as much of HTTP/1.1 as a scraper needs: one GET a connection (RFC 9112).

use super::listeners::Kind;
use crate::{
    clock::UnixMillis,
    limits,
    mx::{Counted, Counters},
    net::{self, Accepted, Activity, Listener, Shutdown, Stream},
    store::Store,
};
use std::{fmt::Write as _, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// What is told. Clones share it.
#[derive(Clone)]
pub(super) struct Metrics(Arc<Sources>);

struct Sources {
    started: UnixMillis,
    listeners: Vec<(Kind, Activity)>,
    counters: Counters,
    store: Store,
}

/// The answer to a request.
struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

impl Answer {
    fn text(status: &'static str, body: &str) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.to_owned() }
    }
}

impl Metrics {
    pub(super) fn new(started: UnixMillis, listeners: Vec<(Kind, Activity)>, counters: Counters, store: Store) -> Self {
        Self(Arc::new(Sources { started, listeners, counters, store }))
    }

    /// Answers until shutdown.
    pub(super) async fn serve(self, listener: Listener, shutdown: Shutdown) -> io::Result<()> {
        const TIME: Duration = Duration::from_secs(limits::METRICS_SECONDS);
        net::serve(listener, b"", shutdown, TIME, |accepted| {
            let metrics = self.clone();
            async move {
                let Accepted { stream, permit: _permit, .. } = accepted;
                // A scraper that is slow or goes away has no metrics, and nobody else is harmed.
                let _ = timeout(TIME, metrics.converse(stream)).await;
            }
        })
        .await
    }

    async fn converse(&self, mut stream: Stream) -> io::Result<()> {
        let Some(head) = request_head(&mut stream).await? else { return Ok(()) };
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let answer = self.answer(method, target);
        let length = answer.body.len();
        let mut response = format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            answer.status, answer.content_type
        );
        if method != "HEAD" {
            response.push_str(&answer.body);
        }
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await
    }

    fn answer(&self, method: &str, target: &str) -> Answer {
        match (method, target.split('?').next().unwrap_or_default()) {
            ("GET" | "HEAD", "/metrics") => {
                Answer { status: "200 OK", content_type: "text/plain; version=0.0.4", body: self.0.exposition() }
            }
            ("GET" | "HEAD", "/health") => match self.0.store.directory().get(b"health") {
                Ok(_) => Answer::text("200 OK", "ok\n"),
                Err(_) => Answer::text("503 Service Unavailable", "the store cannot be read\n"),
            },
            ("GET" | "HEAD", _) => Answer::text("404 Not Found", "there are /metrics and /health\n"),
            _ => Answer::text("405 Method Not Allowed", "only GET and HEAD\n"),
        }
    }
}

/// The request line, once the whole head has come; `None` where it is too long or cut short.
async fn request_head(stream: &mut Stream) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.windows(4).any(|octets| octets == b"\r\n\r\n") {
        if head.len() >= limits::METRICS_REQUEST_OCTETS_MAX || stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let line = head.split(|octet| *octet == b'\r').next().unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}

impl Sources {
    /// Every figure in Prometheus' text format.
    fn exposition(&self) -> String {
        let mut out = String::new();
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        family(&mut out, "postern_build", "gauge", "The running release.", &[(version, 1)]);
        let started = u64::try_from(self.started.seconds()).unwrap_or(0);
        family(
            &mut out,
            "postern_start_time_seconds",
            "gauge",
            "Start, in seconds since 1970.",
            &[(String::new(), started)],
        );
        self.connections(&mut out);
        let Counted { inbox, junk, refused, deferred, copies } = self.counters.now();
        let outcomes = [("inbox", inbox), ("junk", junk), ("refused", refused), ("deferred", deferred)];
        let outcomes = outcomes.map(|(name, count)| (format!("outcome=\"{name}\""), count));
        family(&mut out, "postern_messages_total", "counter", "Messages by what came of them.", &outcomes);
        family(
            &mut out,
            "postern_deliveries_total",
            "counter",
            "Copies stored in mailboxes.",
            &[(String::new(), copies)],
        );
        out
    }

    fn connections(&self, out: &mut String) {
        let by_service = |figure: fn(&Activity) -> u64| {
            let of = |kind: Kind| {
                let mine = self.listeners.iter().filter(|(k, _)| *k == kind);
                (format!("listener=\"{}\"", kind.name()), mine.map(|(_, activity)| figure(activity)).sum())
            };
            Kind::ALL.map(of)
        };
        let open = by_service(|activity| activity.open() as u64);
        family(out, "postern_connections_open", "gauge", "Connections now.", &open);
        family(out, "postern_connections_total", "counter", "Connections let in.", &by_service(Activity::accepted));
        let help = "Connections that found no place.";
        family(out, "postern_connections_refused_total", "counter", help, &by_service(Activity::refused));
    }
}

/// One metric with its samples: labels and value.
fn family(out: &mut String, name: &str, kind: &str, help: &str, samples: &[(String, u64)]) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = match labels.as_str() {
            "" => writeln!(out, "{name} {value}"),
            labels => writeln!(out, "{name}{{{labels}}} {value}"),
        };
    }
}
