//! The listeners of every service, bound and named.

use super::{Addresses, ServerError};
use crate::{
    config::Config,
    limits,
    net::{Activity, Listener, ListenerSettings},
};
use std::net::SocketAddr;

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Mx,
    SubmissionStartTls,
    SubmissionTls,
    ImapStartTls,
    ImapTls,
    Metrics,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Mx, Self::SubmissionStartTls, Self::SubmissionTls, Self::ImapStartTls, Self::ImapTls, Self::Metrics];

    /// The key that lists its addresses, and the service's name in logs and metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Mx => "mx.listen",
            Self::SubmissionStartTls => "submission.listen_starttls",
            Self::SubmissionTls => "submission.listen_tls",
            Self::ImapStartTls => "imap.listen_starttls",
            Self::ImapTls => "imap.listen_tls",
            Self::Metrics => "metrics.listen",
        }
    }

    fn addresses(self, config: &Config) -> &[SocketAddr] {
        match self {
            Self::Mx => &config.mx.listen,
            Self::SubmissionStartTls => &config.submission.listen_starttls,
            Self::SubmissionTls => &config.submission.listen_tls,
            Self::ImapStartTls => &config.imap.listen_starttls,
            Self::ImapTls => &config.imap.listen_tls,
            Self::Metrics => &config.metrics.listen,
        }
    }

    /// Connections at once, and of these from one address.
    fn connections(self, config: &Config) -> (usize, usize) {
        match self {
            Self::Mx => (config.mx.connections_max, config.mx.connections_per_address_max),
            Self::SubmissionStartTls | Self::SubmissionTls => {
                (config.submission.connections_max, config.submission.connections_per_address_max)
            }
            Self::ImapStartTls | Self::ImapTls => {
                (config.imap.connections_max, config.imap.connections_per_address_max)
            }
            Self::Metrics => (limits::METRICS_CONNECTIONS_MAX, limits::METRICS_CONNECTIONS_MAX),
        }
    }
}

/// Bound listeners, not yet served.
pub(super) struct Bound(pub(super) Vec<(Kind, Listener)>);

impl Bound {
    pub(super) async fn bind(config: &Config) -> Result<Self, ServerError> {
        let mut bound = Vec::new();
        for kind in Kind::ALL {
            let (connections_max, connections_per_address_max) = kind.connections(config);
            for address in kind.addresses(config).iter().copied() {
                let settings = ListenerSettings { address, connections_max, connections_per_address_max };
                let listener = Listener::bind(settings).await;
                bound.push((kind, listener.map_err(|error| ServerError::Listen(kind.name(), address, error))?));
            }
        }
        Ok(Self(bound))
    }

    pub(super) fn addresses(&self) -> Addresses {
        let of = |kind| self.0.iter().filter(|(k, _)| *k == kind).map(|(_, listener)| listener.address()).collect();
        Addresses {
            mx: of(Kind::Mx),
            submission_starttls: of(Kind::SubmissionStartTls),
            submission_tls: of(Kind::SubmissionTls),
            imap_starttls: of(Kind::ImapStartTls),
            imap_tls: of(Kind::ImapTls),
            metrics: of(Kind::Metrics),
        }
    }

    pub(super) fn log(&self) {
        for (kind, listener) in &self.0 {
            tracing::info!(listener = kind.name(), address = %listener.address(), "listening");
        }
    }

    pub(super) fn activities(&self) -> Vec<(Kind, Activity)> {
        self.0.iter().map(|(kind, listener)| (*kind, listener.activity())).collect()
    }
}
