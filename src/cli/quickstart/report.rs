//! What the tour prints.

use super::{ACCOUNT, Letter, Login, Outcome, Search};
use crate::{admin::Judged, cli::output::line, config::Config, server::Addresses};
use std::{net::SocketAddr, path::Path, time::Duration};

/// Where everything is.
pub(super) fn opening(config: &Config, addresses: &Addresses, login: &Login) {
    line("Postern: a whole mail server, on this machine only.\n");
    row("data", &config.server.data.display().to_string());
    row("account", ACCOUNT);
    match (&login.password, login.is_new) {
        (Some(password), true) => {
            row("password", &format!("{password}   (shown once; also in {})", login.file.display()))
        }
        (Some(_), false) => row("password", &format!("as before, in {}", login.file.display())),
        (None, _) => row("password", "as before"),
    }
    row("SMTP", &list(&addresses.mx));
    row(
        "submission",
        &format!("{} STARTTLS, {} TLS", list(&addresses.submission_starttls), list(&addresses.submission_tls)),
    );
    row("IMAP", &format!("{} STARTTLS, {} TLS", list(&addresses.imap_starttls), list(&addresses.imap_tls)));
    for metrics in &addresses.metrics {
        row("metrics", &format!("http://{metrics}/metrics"));
    }
    row("certificate", "self-signed, made here");
    row("name servers", "a zone of the tour's own, so that every check has an answer");
}

fn list(addresses: &[SocketAddr]) -> String {
    if addresses.is_empty() {
        return "off".to_owned();
    }
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn row(name: &str, value: &str) {
    line(&format!("  {name:<14}{value}"));
}

/// The head of the table of letters.
pub(super) fn letters_begin() {
    line("\nEight letters through the SMTP port, and what was made of them:\n");
    line(&format!(
        "  {:<27}{:<10}{:<6}{:<7}{:<6}{:>7}  {:<9}{}",
        "from", "SPF", "DKIM", "DMARC", "ARC", "spam", "mailbox", "strongest reason"
    ));
}

/// One letter.
pub(super) fn letter(letter: &Letter, outcome: &Outcome) {
    let from = letter.reverse_path;
    line(&match outcome {
        Outcome::Delivered { mailbox, explained, .. } => match &explained.verdict {
            Some(judged) => format!("  {from:<27}{}", judgement(judged, mailbox)),
            None => format!("  {from:<27}not judged, in {mailbox}"),
        },
        Outcome::Refused(reply) => format!("  {from:<27}refused: {reply}"),
        Outcome::Lost(why) => format!("  {from:<27}{why}"),
    });
}

/// Whether all of them were sent now.
pub(super) fn letters_end(letters: &[Outcome]) {
    let before = letters.iter().filter(|letter| matches!(letter, Outcome::Delivered { was_there: true, .. })).count();
    if before > 0 {
        line(&format!("\n  {before} of them were here from before and were not sent again."));
    }
}

fn judgement(judged: &Judged, mailbox: &str) -> String {
    let outcome = |method: &str| {
        let check = judged.authentication.iter().find(|check| check.method == method);
        check.map_or("none", |check| check.outcome.as_str())
    };
    let percent = f64::from(judged.probability) * 100.0;
    let reason = judged
        .reasons
        .first()
        .map_or_else(String::new, |reason| format!("{} {:+.1}: {}", reason.signal, reason.weight, reason.evidence));
    format!(
        "{:<10}{:<6}{:<7}{:<6}{percent:>6.1}%  {mailbox:<9}{reason}",
        outcome("spf"),
        outcome("dkim"),
        outcome("dmarc"),
        outcome("arc"),
    )
}

/// The head of the searches.
pub(super) fn searches_begin() {
    line("\nSearches over IMAP:\n");
}

/// Nobody can log in for the tour.
pub(super) fn searches_left_out(file: &Path) {
    line(&format!(
        "\nSearches over IMAP are left out: the password in {} is not the account's any more.",
        file.display()
    ));
}

/// One search.
pub(super) fn search(search: &Search, found: &[u32], took: Duration, letters: &[Outcome]) {
    let keys = search.keys.iter().map(|(key, value)| format!("{key} \"{value}\"")).collect::<Vec<_>>().join(" ");
    let subject = |uid: &u32| {
        letters.iter().find_map(|letter| match letter {
            Outcome::Delivered { explained, .. } if letter.uid() == Some(*uid) => Some(explained.subject.as_str()),
            Outcome::Delivered { .. } | Outcome::Refused(_) | Outcome::Lost(_) => None,
        })
    };
    let subjects: Vec<&str> = found.iter().map(|uid| subject(uid).unwrap_or("another message")).collect();
    let millis = took.as_secs_f64() * 1000.0;
    line(&format!("  {:<26}{keys}", search.what));
    line(&format!(
        "  {:<26}{millis:.1} ms: {}",
        "",
        if subjects.is_empty() { "nothing".to_owned() } else { subjects.join("; ") }
    ));
}

/// What to type next.
pub(super) fn next_steps(config: &Config, addresses: &Addresses) {
    let data = config.server.data.display();
    let smtp = addresses.mx.first().map_or_else(String::new, ToString::to_string);
    line("\nThe server stays up until Ctrl-C. Try, in another terminal:\n");
    for command in [
        format!("postern search {ACCOUNT} minutes --data {data}"),
        format!("postern message explain {ACCOUNT} Junk 1 --data {data}"),
        format!("postern account add you@example.org --data {data}"),
        format!("swaks --server {smtp} --from you@example.org --to {ACCOUNT}"),
        format!("postern stats --data {data}"),
        "postern config default > config.toml    # every setting, explained".to_owned(),
    ] {
        line(&format!("  {command}"));
    }
}
