//! The Authentication-Results field (RFC 8601 §2.2).

use super::{Client, DkimResult, DmarcResult, Outcome, Report, SpfResult};
use crate::mail::ReversePath;

/// Columns of a line, where its words allow it (RFC 5322 §2.1.1).
const LINE_COLUMNS: usize = 78;

/// Columns of the longest field name that the value may stand behind on its first line.
const FIELD_NAME_COLUMNS: usize = "Authentication-Results: ".len();

impl Report {
    /// The value of an Authentication-Results field (RFC 8601 §2.2), folded, without the field name and final CRLF.
    ///
    /// Octets of the message or of strangers' records stand in it only inside of tokens, quoted strings and comments, with
    /// whatever could end those left out.
    pub fn authentication_results(&self, authserv_id: &str, client: &Client, reverse_path: &ReversePath) -> String {
        let mut value = Value { text: value(authserv_id), column: 0 };
        value.column = FIELD_NAME_COLUMNS + value.text.len();
        value.method("iprev", self.iprev.0, None);
        value.property("policy.iprev", &client.ip.to_canonical().to_string());
        if let Some(name) = &self.iprev.1 {
            value.comment(name);
        }
        value.spf(&self.spf_helo, "smtp.helo", &client.helo);
        if let ReversePath::Address(address) = reverse_path {
            value.spf(&self.spf_mail_from, "smtp.mailfrom", &address.to_string());
        }
        if self.dkim.is_empty() {
            value.method("dkim", Outcome::None, None);
        }
        self.dkim.iter().for_each(|signature| value.dkim(signature));
        value.method("arc", self.arc, None);
        value.dmarc(&self.dmarc);
        value.text
    }
}

/// A value that is being written; every method begins on a line of its own.
struct Value {
    text: String,
    column: usize,
}

impl Value {
    fn method(&mut self, method: &str, outcome: Outcome, reason: Option<&str>) {
        self.text.push(';');
        self.fold();
        let result = format!("{method}={}", outcome.as_str());
        self.column += result.len();
        self.text.push_str(&result);
        if let Some(reason) = reason {
            self.word(&format!("reason={}", quoted(reason)));
        }
    }

    fn spf(&mut self, spf: &SpfResult, property: &str, identity: &str) {
        self.method("spf", spf.outcome, None);
        self.property(property, identity);
    }

    fn dkim(&mut self, signature: &DkimResult) {
        self.method("dkim", signature.outcome, signature.reason.as_deref());
        for (property, text) in [("header.d", &signature.domain), ("header.s", &signature.selector)] {
            if !text.is_empty() {
                self.property(property, text);
            }
        }
    }

    fn dmarc(&mut self, dmarc: &DmarcResult) {
        self.method("dmarc", dmarc.outcome, None);
        if let Some(domain) = &dmarc.header_from {
            if dmarc.outcome != Outcome::None {
                self.comment(&format!("p={}", dmarc.policy.as_str()));
            }
            self.property("header.from", domain);
        }
    }

    fn property(&mut self, name: &str, text: &str) {
        self.word(&format!("{name}={}", pvalue(text)));
    }

    fn comment(&mut self, text: &str) {
        let inside: String = text.chars().filter(|c| is_printable(*c) && !"()\\".contains(*c)).collect();
        self.word(&format!("({inside})"));
    }

    /// A word after a space, or on a new line where it does not fit.
    fn word(&mut self, word: &str) {
        if self.column + 1 + word.len() > LINE_COLUMNS {
            self.fold();
        } else {
            self.text.push(' ');
            self.column += 1;
        }
        self.text.push_str(word);
        self.column += word.len();
    }

    fn fold(&mut self) {
        self.text.push_str("\r\n\t");
        self.column = 8;
    }
}

/// pvalue: a token, an address whose domain needs no quoting, or a quoted string (RFC 8601 §2.2).
fn pvalue(text: &str) -> String {
    let is_address = text.rsplit_once('@').is_some_and(|(local_part, domain)| {
        let written = local_part.is_empty() || text.parse::<crate::mail::Address>().is_ok();
        written && is_token(domain)
    });
    if is_address { text.to_owned() } else { value(text) }
}

/// value: a token or a quoted string (RFC 2045 §5.1).
fn value(text: &str) -> String {
    if is_token(text) { text.to_owned() } else { quoted(text) }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| is_printable(c) && c != ' ' && !"()<>@,;:\\\"/[]?=".contains(c))
}

fn is_printable(character: char) -> bool {
    !character.is_control()
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars().filter(|character| is_printable(*character)) {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::DmarcPolicy;

    fn spf(outcome: Outcome, domain: &str) -> SpfResult {
        SpfResult { outcome, domain: domain.into(), explanation: None }
    }

    fn report() -> Report {
        Report {
            iprev: (Outcome::Pass, Some("mx.example.net".into())),
            spf_helo: spf(Outcome::None, "mx.example.net"),
            spf_mail_from: spf(Outcome::Pass, "example.net"),
            dkim: vec![
                DkimResult {
                    outcome: Outcome::Pass,
                    domain: "example.net".into(),
                    selector: "s1".into(),
                    reason: None,
                },
                DkimResult {
                    outcome: Outcome::Fail,
                    domain: "lists.example.com".into(),
                    selector: "s2".into(),
                    reason: Some("the body hash does not match".into()),
                },
            ],
            arc: Outcome::None,
            dmarc: DmarcResult {
                outcome: Outcome::Pass,
                policy: DmarcPolicy::Reject,
                header_from: Some("example.net".into()),
            },
        }
    }

    fn client(ip: &str, helo: &str) -> Client {
        Client { ip: ip.parse().unwrap(), helo: helo.into() }
    }

    #[track_caller]
    fn writes(report: &Report, client: &Client, reverse_path: &ReversePath, expected: &[&str]) {
        let value = report.authentication_results("mx.example.org", client, reverse_path);
        assert_eq!(value.split("\r\n\t").collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_method_stands_on_its_line() {
        writes(
            &report(),
            &client("192.0.2.1", "mx.example.net"),
            &ReversePath::Address("bob@example.net".parse().unwrap()),
            &[
                "mx.example.org;",
                "iprev=pass policy.iprev=192.0.2.1 (mx.example.net);",
                "spf=none smtp.helo=mx.example.net;",
                "spf=pass smtp.mailfrom=bob@example.net;",
                "dkim=pass header.d=example.net header.s=s1;",
                "dkim=fail reason=\"the body hash does not match\"",
                "header.d=lists.example.com header.s=s2;",
                "arc=none;",
                "dmarc=pass (p=reject) header.from=example.net",
            ],
        );
    }

    #[test]
    fn a_bounce_has_the_helo_identity_alone() {
        let mut report = report();
        report.iprev = (Outcome::TempError, None);
        report.dkim.clear();
        report.dmarc = DmarcResult { outcome: Outcome::PermError, policy: DmarcPolicy::None, header_from: None };
        writes(
            &report,
            &client("2001:db8::1", "[IPv6:2001:db8::1]"),
            &ReversePath::Null,
            &[
                "mx.example.org;",
                "iprev=temperror policy.iprev=\"2001:db8::1\";",
                "spf=none smtp.helo=\"[IPv6:2001:db8::1]\";",
                "dkim=none;",
                "arc=none;",
                "dmarc=permerror",
            ],
        );
    }

    /// What a sender chooses cannot end its place and begin another result.
    #[test]
    fn strangers_texts_stay_where_they_belong() {
        let mut report = report();
        report.iprev.1 = Some("a);dmarc=pass (\r\n\\".into());
        report.dkim = vec![DkimResult {
            outcome: Outcome::PermError,
            domain: "x; dkim=pass\r\nheader.d=\"example.org".into(),
            selector: "s(1".into(),
            reason: None,
        }];
        writes(
            &report,
            &client("192.0.2.1", "a;dkim=pass \"\\ \r\n\u{7f}"),
            &ReversePath::Address("\"a;b\\\"c\"@example.net".parse().unwrap()),
            &[
                "mx.example.org;",
                "iprev=pass policy.iprev=192.0.2.1 (a;dmarc=pass );",
                "spf=none smtp.helo=\"a;dkim=pass \\\"\\\\ \";",
                "spf=pass smtp.mailfrom=\"a;b\\\"c\"@example.net;",
                "dkim=permerror header.d=\"x; dkim=passheader.d=\\\"example.org\"",
                "header.s=\"s(1\";",
                "arc=none;",
                "dmarc=pass (p=reject) header.from=example.net",
            ],
        );
    }
}
