//! The shape of the code: who may import whom, which module owns which package, and the figures
//! that are printed about it. Works on the source text, so that it also sees code behind `cfg`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each module with those it may import, in flow order. `server` and `cli` stand at the end and
/// import what their text says.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("clock", &[]),
    ("mail", &[]),
    ("tls", &[]),
    ("work", &[]),
    ("config", &["mail", "limits"]),
    ("message", &["mail", "limits"]),
    ("dns", &["clock", "limits"]),
    ("net", &["clock", "limits", "tls", "work"]),
    ("smtp", &["mail", "limits"]),
    ("authentication", &["mail", "message", "dns", "clock", "limits", "work"]),
    ("store", &["mail", "message", "clock", "limits", "work"]),
    ("spam", &["mail", "message", "authentication", "clock", "limits"]),
    ("accounts", &["mail", "store", "clock", "limits", "work"]),
    ("delivery", &["mail", "message", "authentication", "spam", "accounts", "store", "clock", "limits", "work"]),
    ("imap", &["net", "mail", "message", "accounts", "store", "clock", "limits", "work"]),
    (
        "mx",
        &[
            "net",
            "smtp",
            "mail",
            "message",
            "authentication",
            "spam",
            "delivery",
            "accounts",
            "clock",
            "limits",
            "work",
        ],
    ),
    (
        "submission",
        &["mx", "net", "smtp", "mail", "message", "authentication", "spam", "delivery", "accounts", "clock", "limits"],
    ),
    (
        "admin",
        &["config", "mail", "message", "clock", "limits", "spam", "accounts", "store", "authentication", "dns", "work"],
    ),
    (
        "server",
        &[
            "limits",
            "clock",
            "mail",
            "tls",
            "config",
            "message",
            "dns",
            "net",
            "smtp",
            "authentication",
            "store",
            "spam",
            "accounts",
            "delivery",
            "imap",
            "mx",
            "submission",
            "admin",
        ],
    ),
    ("cli", &["config", "admin", "server", "mail", "limits", "clock"]),
];

/// Packages that one module owns: no other file names them.
const OWNERS: &[(&str, &str)] = &[
    ("rocksdb", "store/metadata"),
    ("object_store", "store/blob"),
    ("tantivy", "store/index"),
    ("tantivy_common", "store/index"),
    ("mail_auth", "authentication"),
    ("mail_parser", "message"),
    ("imap_codec", "imap"),
    ("rustls", "tls"),
    ("rcgen", "tls"),
    ("clap", "cli"),
    ("indicatif", "cli"),
    ("rpassword", "cli"),
    ("hickory_resolver", "dns"),
    ("hickory_proto", "dns"),
    ("argon2", "accounts"),
    ("toml", "config"),
];

/// Files where a package may stand outside its owner, with the reason.
const LENT: &[(&str, &str, &str)] = &[
    ("mail_auth", "dns", "hickory's types reach mail_auth through its own re-export"),
    ("hickory_resolver", "authentication", "mail_auth takes hickory's configuration"),
];

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut faults = Vec::new();
    for (module, imports) in imports() {
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            faults.push(format!("{module} is not in the table"));
            continue;
        };
        for (import, file) in imports {
            if import != module && !allowed.contains(&import.as_str()) {
                faults.push(format!("{} imports {import}: {module} may not", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn modules_form_no_import_cycle() {
    let graph: BTreeMap<String, BTreeSet<String>> = imports()
        .into_iter()
        .map(|(module, imports)| {
            let others = imports.into_keys().filter(|import| *import != module).collect();
            (module, others)
        })
        .collect();
    let mut left = graph.clone();
    while let Some(leaf) =
        left.iter().find(|(_, to)| to.iter().all(|to| !left.contains_key(to))).map(|(m, _)| m.clone())
    {
        left.remove(&leaf);
    }
    assert!(left.is_empty(), "cycle among {:?}", left.keys().collect::<Vec<_>>());
    println!("{} modules, 0 import cycles", graph.len());
}

#[test]
fn each_package_has_one_owner() {
    let mut faults = Vec::new();
    for file in sources() {
        let place = place(&file);
        for (package, owner) in OWNERS {
            let lent = LENT.iter().any(|(lent, to, _)| lent == package && place.starts_with(to));
            if !lent && !place.starts_with(owner) && names(&code(&file), package) {
                faults.push(format!("src/{place} names {package}, which belongs to {owner}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_is_left_unwritten() {
    for file in sources() {
        for word in ["unimplemented!", "todo!", "dbg!"] {
            assert!(!code(&file).contains(word), "{} contains {word}", file.display());
        }
    }
}

#[test]
fn few_functions_are_long_and_public_items_are_documented() {
    let (mut functions, mut long, mut items, mut documented) = (0, Vec::new(), 0, 0);
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        for (name, lines) in function_lengths(&text) {
            functions += 1;
            if lines > 60 {
                long.push(format!("{} {name} {lines}", file.display()));
            }
        }
        let (all, with) = documentation(&text);
        items += all;
        documented += with;
    }
    let share = 100.0 * long.len() as f64 / functions as f64;
    let covered = 100.0 * documented as f64 / items as f64;
    println!("{functions} functions, {} over 60 lines ({share:.1} %)", long.len());
    println!("{items} public items, {documented} documented ({covered:.1} %)");
    long.iter().for_each(|long| println!("  {long}"));
    assert!(share <= 3.0, "{share:.1} % of functions are over 60 lines:\n{}", long.join("\n"));
    assert!(covered >= 95.0, "{covered:.1} % of public items are documented");
}

/// Which crate modules each module names, with one file that does so.
fn imports() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let mut graph: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for file in sources() {
        let place = place(&file);
        let module = place.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        let imports = graph.entry(module).or_default();
        for import in crate_paths(&code(&file)) {
            imports.entry(import).or_insert_with(|| file.clone());
        }
    }
    graph
}

/// The first segments of every `crate::` path, braces included.
fn crate_paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            found.extend(top_level_names(list));
        } else {
            found.insert(leading_name(rest));
        }
    }
    found.remove("");
    found
}

fn top_level_names(list: &str) -> Vec<String> {
    let (mut depth, mut names, mut start) = (0, Vec::new(), true);
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => start = true,
            other if start && !other.is_whitespace() => {
                names.push(leading_name(&list[at..]));
                start = false;
            }
            _ => {}
        }
    }
    names
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|character| character.is_ascii_alphanumeric() || *character == '_').collect()
}

/// Whether code names a package as the start of a path.
fn names(code: &str, package: &str) -> bool {
    code.match_indices(package).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + package.len()..];
        let starts = before.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_' && c != '.' && c != ':')
            || (code[..at].ends_with("::")
                && !code[..at].ends_with("crate::")
                && code[..at].trim_end_matches("::").ends_with(' '));
        starts && after.starts_with("::")
    })
}

/// A file's text without comments and string contents.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

fn place(file: &Path) -> String {
    file.strip_prefix(source_root()).unwrap().to_str().unwrap().to_owned()
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![source_root()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Name and length in lines of every function, by indentation: rustfmt closes a body at the
/// indentation it opened at.
fn function_lengths(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indentation = line.len() - line.trim_start().len();
        let Some(name) = function_name(line.trim_start()) else { continue };
        let closing = format!("{}}}", " ".repeat(indentation));
        let end = lines[at..]
            .iter()
            .position(|line| **line == *closing || (line.ends_with('}') && at_same(line, indentation)));
        if let Some(length) = end {
            found.push((name, length + 1));
        }
    }
    found
}

fn at_same(line: &str, indentation: usize) -> bool {
    line.len() - line.trim_start().len() == indentation
}

fn function_name(line: &str) -> Option<String> {
    let words = line.split_whitespace().collect::<Vec<_>>();
    let at = words.iter().position(|word| *word == "fn")?;
    let modifiers = ["pub", "pub(crate)", "pub(super)", "async", "const", "unsafe", "extern"];
    words[..at]
        .iter()
        .all(|word| modifiers.contains(word) || word.starts_with("pub(in"))
        .then(|| leading_name(words[at + 1]))
}

/// Public items and how many of them have a doc comment.
fn documentation(text: &str) -> (usize, usize) {
    let (mut items, mut documented, mut has_comment) = (0, 0, false);
    for line in text.lines().map(str::trim) {
        if line.starts_with("///") {
            has_comment = true;
        } else if line.starts_with("pub ") && !line.starts_with("pub use ") && !line.starts_with("pub mod ") {
            items += 1;
            documented += usize::from(has_comment);
            has_comment = false;
        } else if !line.starts_with("#[") && !line.starts_with(')') && !line.ends_with(")]") {
            has_comment = false;
        }
    }
    (items, documented)
}
