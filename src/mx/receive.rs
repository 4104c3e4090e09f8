//! The whole inbound path on one page: from the end of data to the reply.

use super::{
    Services,
    connection::{Incoming, Taken},
    deliver::{deliver, off_reactor},
    disposition::{Disposition, Header, decide},
    log::Line,
    reply,
};
use crate::{
    authentication::{Client, Report},
    delivery::Received,
    mail::ReversePath,
    message::{self, Analysis, SearchText},
    spam::{self, Evidence, Filter, Verdict},
};
use bytes::Bytes;
use std::sync::Arc;

/// Verifies, judges and delivers one message, and says what its sender is told.
pub(super) async fn receive(services: &Services, incoming: Incoming) -> Taken {
    let Incoming { id, client, reverse_path, recipients, protocol, raw } = incoming;

    let verifying = services.authenticator.verify(&client, &reverse_path, &raw);
    let (Reading { header, analysis, text }, report) = tokio::join!(read(raw.clone()), verifying);
    let judging = Judging { raw: raw.clone(), analysis: Arc::clone(&analysis), text, report: report.clone() };
    let mut verdict = judging.judge(services.filter.clone(), &client, &reverse_path).await;

    let decision = decide(header, &report, &verdict);
    let line =
        Line::new(&id, &client, &reverse_path, recipients.len(), raw.len() as u64).judged(&report, &verdict, &decision);
    // The record says what was done and why, also where it was not the filter that wanted it.
    let filed = match decision.disposition {
        Disposition::Inbox => Ok((spam::Disposition::Inbox, decision.reason.to_owned())),
        Disposition::Junk => Ok((spam::Disposition::Junk, decision.reason.to_owned())),
        Disposition::Refuse(refusal) => Err(refusal),
    };
    let taken = match filed {
        Err(refusal) => Taken::refused(reply::refused(refusal)),
        Ok((disposition, reason)) => {
            (verdict.disposition, verdict.reason) = (disposition, reason);
            let (report, verdict) = (Some(report), Some(verdict));
            let received = Received { raw, analysis, reverse_path, recipients, client, protocol, id, report, verdict };
            deliver(services, received).await
        }
    };
    line.write(&taken.reply, &services.counters);
    taken
}

/// What reading a message gives.
struct Reading {
    header: Header,
    analysis: Arc<Analysis>,
    text: SearchText,
}

async fn read(raw: Bytes) -> Reading {
    off_reactor(raw.len(), move || {
        let analysis = message::analyse(&raw);
        let text = message::search_text(&raw, &analysis);
        Reading { header: Header::of(&raw), analysis: Arc::new(analysis), text }
    })
    .await
}

/// What the filter looks at.
struct Judging {
    raw: Bytes,
    analysis: Arc<Analysis>,
    text: SearchText,
    report: Report,
}

impl Judging {
    async fn judge(self, filter: Filter, client: &Client, reverse_path: &ReversePath) -> Verdict {
        let (ip, reverse_path) = (client.ip, reverse_path.clone());
        off_reactor(self.raw.len(), move || {
            filter.judge(&Evidence {
                raw: &self.raw,
                analysis: &self.analysis,
                text: &self.text,
                report: Some(&self.report),
                ip: Some(ip),
                reverse_path: Some(&reverse_path),
            })
        })
        .await
    }
}
