//! Settings: the file that administrators copy, precedence, and what they are told of mistakes.

use postern::config::{Config, TEMPLATE};
use std::path::Path;

fn load(text: &str, overrides: &[&str]) -> Result<Config, String> {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Config::from_text(text, Path::new("config.toml"), &overrides).map_err(|error| error.to_string())
}

/// Every key of a text of TOML, as `section.name`.
fn keys(text: &str) -> Vec<String> {
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((name, _)) = line.split_once(" = ") {
            keys.push(format!("{section}.{name}"));
        }
    }
    keys.sort();
    keys
}

#[test]
fn the_file_to_copy_has_every_setting_with_its_default() {
    let config = load(TEMPLATE, &[]).unwrap();
    assert_eq!(config, Config::default());
    let defaults = serde_json::to_value(Config::default()).unwrap();
    let mut every: Vec<String> = defaults
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(section, values)| values.as_object().unwrap().keys().map(move |name| format!("{section}.{name}")))
        .collect();
    every.sort();
    assert_eq!(keys(TEMPLATE), every);
}

#[test]
fn every_setting_is_explained() {
    let mut explained = false;
    for line in TEMPLATE.lines() {
        match line.chars().next() {
            Some('#') => explained = true,
            // A key may share the comment of the one before it.
            Some(first) if first.is_ascii_lowercase() => assert!(explained, "{line} has no comment"),
            _ => explained = false,
        }
    }
}

#[test]
fn the_command_line_wins_over_the_file_and_the_file_over_defaults() {
    let text = "[dns]\nattempts = 3\ntimeout_ms = 500\n";
    let config = load(text, &["dns.attempts=4", "server.hostname=mx.example.org"]).unwrap();
    assert_eq!((config.dns.attempts, config.dns.timeout_ms), (4, 500));
    assert_eq!(config.dns.cache_entries, Config::default().dns.cache_entries);
    assert_eq!(config.server.hostname, "mx.example.org");
}

#[test]
fn a_value_on_the_command_line_may_do_without_quotes() {
    let config = load("", &["server.data=/srv/mail", "imap.clear_login=refused", "tls.certificate=true", "tls.key=1"]);
    let config = config.unwrap();
    assert_eq!(config.server.data, Path::new("/srv/mail"));
    assert_eq!(config.tls.certificate, Path::new("true"));
    let config = load("", &["mx.listen=[\"127.0.0.1:2525\", \"[::1]:2525\"]", "metrics.listen=[]"]).unwrap();
    assert_eq!(config.mx.listen.len(), 2);
    assert_eq!(config.metrics.listen, []);
    // Later ones win.
    assert_eq!(load("", &["dns.attempts=4", "dns.attempts=5"]).unwrap().dns.attempts, 5);
}

#[test]
fn mistakes_are_told_with_place_key_and_remedy() {
    for (text, overrides, expected) in [
        (
            "[mx]\nlisten = []\n\nlisen = []\n",
            &[][..],
            "config.toml:4: there is no setting `mx.lisen`; did you mean `mx.listen`?",
        ),
        ("[mxx]\nlisten = []\n", &[], "config.toml:1: there is no setting `mxx`; did you mean `mx`?"),
        ("hostname = \"x\"\n", &[], "config.toml:1: there is no setting `hostname`; did you mean `server.hostname`?"),
        ("[smtp]\ntimeout_ms = 1\n", &[], "config.toml:1: there is no setting `smtp`; did you mean `dns.timeout_ms`?"),
        ("[imap]\nquota = 1\n", &[], "config.toml:2: there is no setting `imap.quota`"),
        ("[dns]\ntimeout_ms = 0\n", &[], "config.toml:2: `dns.timeout_ms` must be from 1 to 60000, not 0"),
        (
            "# spam\n[spam]\njunk = 0.5\nreject = 0.4\n",
            &[],
            "config.toml:4: `spam.reject` is 0.4, below spam.junk, which is 0.5",
        ),
        ("[spam]\njunk = 1.5\n", &[], "config.toml:2: `spam.junk` must be a probability from 0.0 to 1.0, not 1.5"),
        ("[tls]\nkey = \"/k\"\n", &[], "config.toml:2: `tls.key` is set without tls.certificate"),
        (
            "[server]\nhostname = \"a b\"\n",
            &[],
            "config.toml:2: `server.hostname` must be a host name such as mx.example.org, not `a b`",
        ),
        ("", &["mx"], "--set mx: must be key=value, such as mx.listen=[\"127.0.0.1:2525\"]"),
        ("", &["mx.port=25"], "--set mx.port=25: there is no setting `mx.port`"),
        (
            "",
            &["dns.atempts=2"],
            "--set dns.atempts=2: there is no setting `dns.atempts`; did you mean `dns.attempts`?",
        ),
        ("", &["dns.attempts=0"], "--set dns.attempts=0: `dns.attempts` must be from 1 to 10, not 0"),
        (
            "[spam]\njunk = 0.5\n",
            &["spam.reject=0.4"],
            "--set spam.reject=0.4: `spam.reject` is 0.4, below spam.junk, which is 0.5",
        ),
        ("[dns]\n\nattempts = \"two\"\n", &[], "config.toml:3: `dns.attempts` must be a whole number"),
        ("[store]\npartitions = 100000\n", &[], "config.toml:2: `store.partitions` is out of range"),
        (
            "[mx]\nlisten = [\n  \"127.0.0.1:25\",\n  \"mx\",\n]\n",
            &[],
            "config.toml:4: `mx.listen` must be a list of addresses with ports, such as [\"127.0.0.1:2525\"]",
        ),
        (
            "[imap]\nclear_login = \"all\"\n",
            &[],
            "config.toml:2: `imap.clear_login` must be `refused` or `loopback`, not `all`",
        ),
        (
            "[log]\nlevel = \"all\"\n",
            &[],
            "config.toml:2: `log.level` must be `error`, `warn`, `info`, `debug`, `trace`, not `all`",
        ),
        ("[server]\ndata = 1\n", &[], "config.toml:2: `server.data` must be text in quotes"),
        ("[spam]\njunk = \"much\"\n", &[], "config.toml:2: `spam.junk` must be a number"),
        ("mx = 1\n", &[], "config.toml:1: `mx` is a section, and holds settings of its own"),
        ("", &["dns.attempts=two"], "--set dns.attempts=two: `dns.attempts` must be a whole number"),
        (
            "",
            &["mx.listen=25"],
            "--set mx.listen=25: `mx.listen` must be a list of addresses with ports, such as [\"127.0.0.1:2525\"]",
        ),
    ] {
        assert_eq!(load(text, overrides).unwrap_err(), expected, "{text}{overrides:?}");
    }
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    let error = load("[mx]\nlisten = [\n", &[]).unwrap_err();
    assert!(error.starts_with("config.toml:2: "), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.toml");
    let error = Config::load(Some(&file), &[]).unwrap_err().to_string();
    assert!(error.starts_with(&file.display().to_string()), "{error}");
}
