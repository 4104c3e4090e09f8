//! A signer that shares no code with ours: canonical forms written straight from RFC 6376 §3.4, cryptography from the library.

use super::txt;
use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use postern::authentication::DkimKey;

/// The domain that signs.
pub const DOMAIN: &str = "example.org";

/// A canonical form.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    Simple,
    Relaxed,
}

impl Form {
    pub const BOTH: [Self; 2] = [Self::Simple, Self::Relaxed];

    fn name(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Relaxed => "relaxed",
        }
    }

    fn field(self, field: &str) -> String {
        let (name, value) = field.split_once(':').unwrap();
        match self {
            Self::Simple => field.to_owned(),
            Self::Relaxed => {
                format!("{}:{}\r\n", name.trim().to_lowercase(), squeezed(&value.replace("\r\n", "")).trim())
            }
        }
    }

    /// The body in this form.
    pub fn body(self, body: &str) -> String {
        let lines = body.split("\r\n").map(|line| match self {
            Self::Simple => line.to_owned(),
            Self::Relaxed => squeezed(line).trim_end_matches(' ').to_owned(),
        });
        let mut lines: Vec<String> = lines.collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        match (self, lines.is_empty()) {
            (Self::Relaxed, true) => String::new(),
            _ => lines.join("\r\n") + "\r\n",
        }
    }
}

fn squeezed(text: &str) -> String {
    let mut squeezed = String::new();
    for character in text.chars().map(|c| if c == '\t' { ' ' } else { c }) {
        if character != ' ' || !squeezed.ends_with(' ') {
            squeezed.push(character);
        }
    }
    squeezed
}

/// SHA-256 in base64.
pub fn hash(text: &str) -> String {
    STANDARD.encode(digest(&SHA256, text.as_bytes()))
}

/// A key pair and how it signs.
pub struct Signer {
    pub selector: &'static str,
    pub key: DkimKey,
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    pub fn ed25519() -> Self {
        let key = DkimKey::generate_ed25519().unwrap();
        let pair = Pair::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der(&key)).unwrap());
        Self { selector: "ed", key, pair }
    }

    pub fn rsa() -> Self {
        let key = DkimKey::generate_rsa().unwrap();
        let pair = Pair::Rsa(RsaKeyPair::from_pkcs8(&der(&key)).unwrap());
        Self { selector: "rsa", key, pair }
    }

    /// The key's record in a master file, with other tags before it.
    pub fn record(&self, tags: &str) -> String {
        let name = format!("{}._domainkey.{DOMAIN}", self.selector);
        txt(&name, self.key.dns_record().replace("v=DKIM1; ", tags).as_bytes())
    }

    /// A message below its signature over From and Subject, as the usual tags say.
    pub fn signed(&self, header: &str, body: &str, forms: (Form, Form)) -> String {
        let hash = hash(&forms.1.body(body));
        let tags = self.tags(forms).replace("bh=;", &format!("bh={hash};"));
        self.signed_as(&tags, forms.0, header, body)
    }

    /// The usual tags, without a body hash.
    pub fn tags(&self, forms: (Form, Form)) -> String {
        let algorithm = match self.pair {
            Pair::Ed25519(_) => "ed25519-sha256",
            Pair::Rsa(_) => "rsa-sha256",
        };
        let (header, body) = (forms.0.name(), forms.1.name());
        let selector = self.selector;
        format!("v=1; a={algorithm}; c={header}/{body};\r\n\td={DOMAIN}; s={selector}; h=From:Subject; bh=;\r\n\tb=")
    }

    /// A message below a signature with these tags, over the fields that they name (each at most once).
    pub fn signed_as(&self, tags: &str, form: Form, header: &str, body: &str) -> String {
        let names = tags.split("h=").nth(1).unwrap().split(';').next().unwrap();
        let fields = header.split_inclusive("\r\n").collect::<Vec<_>>();
        let mut data = String::new();
        for name in names.split(':').map(str::trim) {
            let is_it = |field: &&&str| field.split(':').next().unwrap().trim().eq_ignore_ascii_case(name);
            data += &fields.iter().rfind(is_it).map_or_else(String::new, |field| form.field(field));
        }
        let field = format!("DKIM-Signature: {tags}\r\n");
        data += form.field(&field).trim_end_matches("\r\n");
        let signature = STANDARD.encode(self.pair.sign(data.as_bytes()));
        format!("DKIM-Signature: {tags}{signature}\r\n{header}\r\n{body}")
    }
}

impl Pair {
    fn sign(&self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(pair) => pair.sign(digest(&SHA256, data).as_ref()).as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), data, &mut signature).unwrap();
                signature
            }
        }
    }
}

fn der(key: &DkimKey) -> Vec<u8> {
    let pem = key.to_pem();
    let inside: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(inside).unwrap()
}
