//! DKIM (RFC 6376, 8301, 8463): signatures are judged by ourselves as far as tags, body and key go, and by mail_auth from there.
//!
//! mail_auth 0.13 takes signatures without v= or a=, without From in h=, with repeated tags, and RSA with SHA-1; counts l= in
//! octets before canonicalization; and looks at any number of signatures. None of this reaches it from here.

use super::{
    DkimResult, Outcome,
    header::SignedMessage,
    public_key::{Answers, Otherwise, key_name},
    signature::{Flaw, SignatureTags, Verification},
    tag_list::TagList,
};
use crate::limits;
use futures_util::FutureExt;
use mail_auth::{
    AuthenticatedMessage, Error, Parameters, Txt,
    common::{crypto::CryptoError, headers::Header},
    dkim::{DkimError, Signature},
};

/// One DKIM-Signature field.
pub(super) struct DkimSignature<'a> {
    name: &'a [u8],
    value: &'a [u8],
    /// As far as they can be read.
    domain: String,
    selector: String,
    identity: String,
    tags: Result<SignatureTags, Flaw>,
}

impl<'a> DkimSignature<'a> {
    fn read(name: &'a [u8], value: &'a [u8], now: i64) -> Self {
        let list = TagList::parse(value);
        let text = |tag| list.as_ref().and_then(|list| list.compact(tag)).unwrap_or_default();
        let tags = list.as_ref().ok_or(Flaw::malformed("the tags are malformed")).and_then(|list| judge(list, now));
        let (domain, selector) = match &tags {
            Ok(tags) => (tags.domain.clone(), tags.selector.clone()),
            Err(_) => (text("d"), text("s")),
        };
        Self { name, value, domain, selector, identity: text("i"), tags }
    }

    /// The name of its key.
    pub(super) fn key_name(&self) -> Option<String> {
        self.tags.as_ref().ok().map(|tags| key_name(&tags.selector, &tags.domain))
    }

    fn result(&self, outcome: Outcome, reason: Option<String>) -> DkimResult {
        let cut = |text: &str| text.chars().take(limits::DKIM_VALUE_CHARACTERS_MAX).collect();
        DkimResult { outcome, domain: cut(&self.domain), selector: cut(&self.selector), reason }
    }

    fn flawed(&self, flaw: &Flaw) -> DkimResult {
        self.result(flaw.outcome, Some(flaw.reason.to_owned()))
    }

    /// What mail_auth is given. Length and expiry have been checked, and third-party signing (RFC 6541) is not believed.
    fn for_mail_auth(&self, tags: &SignatureTags) -> Header<'a, Signature> {
        let signature = Signature {
            v: 1,
            a: tags.algorithm,
            d: tags.domain.clone(),
            s: tags.selector.clone(),
            i: self.identity.clone(),
            b: tags.signature.clone(),
            bh: tags.body_hash.clone(),
            h: tags.names.clone(),
            ch: tags.header_canonicalization,
            cb: tags.body_canonicalization,
            ..Signature::default()
        };
        Header::new(self.name, self.value, signature)
    }
}

/// RFC 6376 §6.1.1.
fn judge(list: &TagList<'_>, now: i64) -> Result<SignatureTags, Flaw> {
    if list.get("v") != Some("1") {
        return Err(Flaw::malformed("v= is not 1"));
    }
    let tags = SignatureTags::read(list, now)?;
    if !tags.names.iter().any(|name| name.eq_ignore_ascii_case("From")) {
        return Err(Flaw::malformed("h= does not cover From"));
    }
    if list.parts("q").is_some_and(|methods| !methods.contains(&"dns/txt")) {
        return Err(Flaw::malformed("q= has no method that is known"));
    }
    let identity = list.compact("i");
    if identity.is_some_and(|identity| !is_within(&identity, &tags.domain)) {
        return Err(Flaw::malformed("i= is not within d="));
    }
    Ok(tags)
}

/// Whether the domain of an identity is `domain` or below it.
fn is_within(identity: &str, domain: &str) -> bool {
    let Some((_, of)) = identity.rsplit_once('@') else { return false };
    let of = of.to_ascii_lowercase();
    of.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

/// The signatures of a message from the top, as many as are looked at.
pub(super) fn signatures<'a>(message: &SignedMessage<'a>, now: i64) -> Vec<DkimSignature<'a>> {
    let fields = message.named("DKIM-Signature").take(limits::DKIM_SIGNATURES_MAX);
    fields.map(|(name, value)| DkimSignature::read(name, value, now)).collect()
}

/// Verifies the signatures of a message with their keys. Takes CPU time, and none of the reactor's.
pub(super) fn verify(verification: &mut Verification<'_>) -> Vec<DkimResult> {
    let signatures = signatures(verification.message, verification.now);
    let mut results: Vec<DkimResult> = signatures.iter().map(|signature| result(verification, signature)).collect();
    let more = verification.message.named("DKIM-Signature").count().saturating_sub(results.len());
    if more > 0 {
        results.push(DkimResult {
            outcome: Outcome::Neutral,
            domain: String::new(),
            selector: String::new(),
            reason: Some(format!("{more} more signatures were not looked at")),
        });
    }
    results
}

fn result(verification: &mut Verification<'_>, signature: &DkimSignature<'_>) -> DkimResult {
    match verify_one(verification, signature) {
        Ok(()) => signature.result(Outcome::Pass, None),
        Err(Fault::Flaw(flaw)) => signature.flawed(&flaw),
        Err(Fault::Verification(result)) => {
            let (outcome, reason) = meaning(&result);
            signature.result(outcome, Some(reason))
        }
    }
}

enum Fault {
    Flaw(Flaw),
    Verification(mail_auth::DkimResult),
}

impl From<Flaw> for Fault {
    fn from(flaw: Flaw) -> Self {
        Self::Flaw(flaw)
    }
}

fn verify_one(verification: &mut Verification<'_>, signature: &DkimSignature<'_>) -> Result<(), Fault> {
    let tags = signature.tags.as_ref().map_err(Flaw::clone)?;
    verification.body.check(tags)?;
    let name = key_name(&tags.selector, &tags.domain);
    let mut answers = Answers::new(Otherwise::Nothing);
    answers.insert(&name, Txt::DomainKey(verification.keys.key(&name, tags.algorithm)?));
    let given = AuthenticatedMessage {
        dkim_headers: vec![signature.for_mail_auth(tags)],
        ..verification.for_mail_auth(tags.body_canonicalization)
    };
    // Every answer is at hand, so the future never waits.
    let parameters = Parameters::new(&given).with_txt_cache(&answers);
    let verified = verification.authenticator.verify_dkim(parameters).now_or_never();
    match verified.as_deref() {
        Some([output]) if *output.result() == mail_auth::DkimResult::Pass => Ok(()),
        Some([output]) => Err(Fault::Verification(output.result().clone())),
        _ => Err(Flaw::malformed("the signature cannot be verified").into()),
    }
}

/// What mail_auth's outcome means (RFC 8601 §2.7.1).
fn meaning(result: &mail_auth::DkimResult) -> (Outcome, String) {
    use mail_auth::DkimResult::{Fail, Neutral, None, Pass, PermError, TempError};
    match result {
        Pass => (Outcome::Pass, String::new()),
        None => (Outcome::None, String::new()),
        TempError(error) => (Outcome::TempError, reason(error)),
        PermError(error) => (Outcome::PermError, reason(error)),
        Neutral(error) | Fail(error) => (Outcome::Fail, reason(error)),
    }
}

fn reason(error: &Error) -> String {
    match error {
        Error::Crypto(CryptoError::FailedVerification | CryptoError::Library(_)) => {
            "the signature does not verify".to_owned()
        }
        Error::Dkim(DkimError::FailedAuidMatch) => "the key is not for subdomains".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}
