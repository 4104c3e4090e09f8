//! Our trace header fields (RFC 5321 §4.4), one set for each recipient.
//!
//! From the top: Return-Path, Delivered-To, X-Postern-Verdict, Authentication-Results, Received. Authentication-Results stands above
//! Received, as RFC 8601 §5 wants. X-Postern-Verdict says what the spam filter decided and its strongest reason, for filters
//! of mail clients; nothing in Postern reads it back, so a forged one does nothing.

use super::Received;
use crate::{
    authentication::{Client, Outcome, Report},
    clock::UnixMillis,
    mail::{Domain, ForwardPath},
    spam::{Disposition, Verdict},
};
use std::net::IpAddr;

/// The trace of one message; what differs for each recipient is put in by [`Trace::fields_for`].
pub(super) struct Trace {
    return_path: String,
    results: String,
    received: String,
    date: String,
}

impl Trace {
    pub(super) fn new(received: &Received, hostname: &str, now: UnixMillis) -> Self {
        let results = received.report.as_ref().map_or_else(String::new, |report| {
            let value = report.authentication_results(hostname, &received.client, &received.reverse_path);
            format!("Authentication-Results: {value}\r\n")
        });
        Self {
            return_path: format!("Return-Path: <{}>\r\n", received.reverse_path),
            results: received.verdict.as_ref().map_or_else(String::new, verdict_field) + &results,
            received: format!(
                "Received: from {}\r\n\tby {hostname} with {} id {}",
                from_clause(&received.client, received.report.as_ref()),
                received.protocol,
                received.id
            ),
            date: date(now),
        }
    }

    /// The fields of the copy that goes to this path, each ending in CRLF.
    pub(super) fn fields_for(&self, path: &ForwardPath) -> String {
        format!(
            "{}Delivered-To: {path}\r\n{}{}\r\n\tfor <{path}>; {}\r\n",
            self.return_path, self.results, self.received, self.date
        )
    }
}

fn verdict_field(verdict: &Verdict) -> String {
    let disposition = match verdict.disposition {
        Disposition::Inbox => "inbox",
        Disposition::Junk => "junk",
        Disposition::Reject => "reject",
    };
    let reason: String = verdict.reason.chars().filter(|c| c.is_ascii_alphanumeric() || "_-.".contains(*c)).collect();
    format!("X-Postern-Verdict: {disposition}; probability={:.4}; reason={reason}\r\n", verdict.probability)
}

/// Extended-Domain of RFC 5321 §4.4: the name the client gave, its verified name and its address. A name that is neither a
/// domain nor a literal cannot stand there and goes into a comment.
fn from_clause(client: &Client, report: Option<&Report>) -> String {
    let literal = literal(client.ip);
    let verified = match report.map(|report| &report.iprev) {
        Some((Outcome::Pass, Some(name))) if name.parse::<Domain>().is_ok() => format!("{name} "),
        _ => String::new(),
    };
    if client.helo.parse::<Domain>().is_ok() {
        format!("{} ({verified}{literal})", client.helo)
    } else {
        let helo: String = client.helo.chars().filter(|c| c.is_ascii_graphic() && !"()\\".contains(*c)).collect();
        format!("{literal} ({verified}{literal}) (helo {helo})")
    }
}

fn literal(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

/// date-time of RFC 5322 §3.3, in UTC.
pub(super) fn date(now: UnixMillis) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, seconds) = (now.seconds().div_euclid(86_400), now.seconds().rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let name = |names: &[&'static str], index: i64| {
        usize::try_from(index).ok().and_then(|index| names.get(index).copied()).unwrap_or_default()
    };
    format!(
        "{}, {day} {} {year:04} {:02}:{:02}:{:02} +0000",
        name(&DAYS, days.rem_euclid(7)),
        name(&MONTHS, month - 1),
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Year, month and day of a day since 1970-01-01, counted in eras of 400 years that begin in March, so that a leap day
/// ends its year.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_BEFORE_1970: i64 = 719_468;
    const DAYS_OF_ERA: i64 = 146_097;
    let days = days + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::ReversePath;
    use std::sync::Arc;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "Thu, 1 Jan 1970 00:00:00 +0000"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_704_103_205, "Mon, 1 Jan 2024 10:00:05 +0000"),
            (4_107_542_400, "Mon, 1 Mar 2100 00:00:00 +0000"),
            (-1, "Wed, 31 Dec 1969 23:59:59 +0000"),
        ] {
            assert_eq!(date(UnixMillis(seconds * 1000)), text);
        }
    }

    fn client(ip: &str, helo: &str) -> Client {
        Client { ip: ip.parse().unwrap(), helo: helo.into() }
    }

    #[test]
    fn a_name_that_is_no_domain_stands_in_a_comment() {
        let from = |ip: &str, helo: &str| from_clause(&client(ip, helo), None);
        assert_eq!(from("192.0.2.1", "mx.example.net"), "mx.example.net ([192.0.2.1])");
        assert_eq!(from("2001:db8::1", "[IPv6:2001:db8::1]"), "[IPv6:2001:db8::1] ([IPv6:2001:db8::1])");
        assert_eq!(from("192.0.2.1", "what!(ever)"), "[192.0.2.1] ([192.0.2.1]) (helo what!ever)");
    }

    #[test]
    fn every_copy_names_its_recipient() {
        let raw = b"Subject: x\r\n\r\n";
        let received = Received {
            raw: raw[..].into(),
            analysis: Arc::new(crate::message::analyse(raw)),
            reverse_path: ReversePath::Null,
            recipients: Vec::new(),
            client: client("192.0.2.1", "mx.example.net"),
            protocol: "ESMTPS",
            id: "1f.1".into(),
            report: None,
            verdict: None,
        };
        let trace = Trace::new(&received, "mx.example.org", UnixMillis(1_704_103_205_000));
        assert_eq!(
            trace.fields_for(&ForwardPath::Address("\"a b\"@example.org".parse().unwrap())),
            "Return-Path: <>\r\nDelivered-To: \"a b\"@example.org\r\n\
             Received: from mx.example.net ([192.0.2.1])\r\n\tby mx.example.org with ESMTPS id 1f.1\r\n\
             \tfor <\"a b\"@example.org>; Mon, 1 Jan 2024 10:00:05 +0000\r\n"
        );
    }
}
