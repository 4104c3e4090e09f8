//! ARC (RFC 8617): the shape of a chain is judged by ourselves, its signatures are verified by mail_auth.
//!
//! mail_auth 0.13 takes seals and signatures without a= or with SHA-1, with repeated or malformed tags, and message signatures
//! that cover ARC-Seal; calls a chain without message signatures none; and refuses an empty h=. So it is given only
//! chains that are in order, taken apart here.

use super::{
    Outcome,
    header::SignedMessage,
    public_key::{Answers, Otherwise, PublicKeys, key_name},
    signature::{self, Flaw, SignatureTags, Verification},
    tag_list::TagList,
};
use crate::limits;
use futures_util::FutureExt;
use mail_auth::{
    AuthenticatedMessage, Parameters, Txt,
    arc::{ChainValidation, Results, Seal, Signature},
    common::{crypto::Algorithm, headers::Header},
    dkim::Canonicalization,
};

/// A chain of sets in order of instance, each with one field of every kind.
pub(super) struct Chain<'a>(Vec<Set<'a>>);

/// One set (RFC 8617 §4.2).
struct Set<'a> {
    results: Field<'a>,
    message_signature: Field<'a>,
    tags: SignatureTags,
    canonicalization: Canonicalized,
    seal: Field<'a>,
    seal_tags: SealTags,
}

/// How a message signature says which form of the message it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Canonicalized {
    AsStated,
    /// c= is absent. That means simple (RFC 6376 §3.5), and some sealers mean relaxed, the one form that a seal itself has.
    Unstated,
}

#[derive(Clone, Copy)]
struct Field<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

/// The tags of a seal that is well formed (RFC 8617 §4.1.3).
struct SealTags {
    algorithm: Algorithm,
    signature: Vec<u8>,
    domain: String,
    selector: String,
    validation: Validation,
}

/// What a seal says of the chain before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Validation {
    None,
    Fail,
    Pass,
}

impl<'a> Chain<'a> {
    /// The chain of a message, as far as its shape goes (RFC 8617 §5.2 steps 1 to 4). `Ok(None)` where there is none at all.
    pub(super) fn read(message: &SignedMessage<'a>, now: i64) -> Result<Option<Self>, Flaw> {
        let fields = |name| message.named(name).map(|(name, value)| Field { name, value }).collect::<Vec<_>>();
        let results = fields("ARC-Authentication-Results");
        let signatures = fields("ARC-Message-Signature");
        let seals = fields("ARC-Seal");
        if results.is_empty() && signatures.is_empty() && seals.is_empty() {
            return Ok(None);
        }
        let count = seals.len();
        if count != results.len() || count != signatures.len() || count > limits::ARC_SETS_MAX {
            return Err(BROKEN);
        }
        let (results, signatures, seals) = (in_order(results)?, in_order(signatures)?, in_order(seals)?);
        let sets = results.into_iter().zip(signatures).zip(seals).enumerate();
        let chain: Result<Vec<_>, _> = sets
            .map(|(before, ((results, message_signature), seal))| {
                Set::read(before, results, message_signature, seal, now)
            })
            .collect();
        Ok(Some(Self(chain?)))
    }

    /// The names of the keys of the last message signature and of every seal.
    pub(super) fn key_names(&self) -> impl Iterator<Item = String> {
        let last = self.0.last().map(|set| key_name(&set.tags.selector, &set.tags.domain));
        last.into_iter().chain(self.0.iter().map(|set| key_name(&set.seal_tags.selector, &set.seal_tags.domain)))
    }
}

const BROKEN: Flaw = Flaw { outcome: Outcome::Fail, reason: "the chain is broken" };

/// One field for each instance from 1 on.
fn in_order(mut fields: Vec<Field<'_>>) -> Result<Vec<Field<'_>>, Flaw> {
    let instances: Result<Vec<u64>, Flaw> = fields.iter().map(|field| instance(field.value)).collect();
    let instances = instances?;
    fields.sort_by_cached_key(|field| instance(field.value).unwrap_or(u64::MAX));
    let mut sorted = instances;
    sorted.sort_unstable();
    if sorted.iter().copied().eq(1..=fields.len() as u64) { Ok(fields) } else { Err(BROKEN) }
}

/// The value of `i=`. ARC-Authentication-Results begins with it and is no tag list after that (RFC 8617 §4.1.1).
fn instance(value: &[u8]) -> Result<u64, Flaw> {
    let whole = TagList::parse(value);
    let first = value.split(|octet| *octet == b';').next().unwrap_or_default();
    let tags = whole.or_else(|| TagList::parse(first)).ok_or(BROKEN)?;
    signature::number(&tags, "i")?.ok_or(BROKEN)
}

impl<'a> Set<'a> {
    fn read(
        before: usize,
        results: Field<'a>,
        message_signature: Field<'a>,
        seal: Field<'a>,
        now: i64,
    ) -> Result<Self, Flaw> {
        let list = TagList::parse(message_signature.value).ok_or(BROKEN)?;
        let tags = SignatureTags::read(&list, now)?;
        // RFC 8617 §4.1.2: a message signature never covers seals.
        if tags.names.iter().any(|name| name.eq_ignore_ascii_case("ARC-Seal")) {
            return Err(BROKEN);
        }
        let seal_tags = SealTags::read(seal.value)?;
        let expected = if before == 0 { Validation::None } else { Validation::Pass };
        if seal_tags.validation != expected {
            return Err(BROKEN);
        }
        let canonicalization = if list.get("c").is_some() { Canonicalized::AsStated } else { Canonicalized::Unstated };
        Ok(Self { results, message_signature, tags, canonicalization, seal, seal_tags })
    }
}

impl SealTags {
    fn read(value: &[u8]) -> Result<Self, Flaw> {
        let list = TagList::parse(value).ok_or(BROKEN)?;
        // RFC 8617 §4.1.3: what a seal covers is fixed.
        if list.get("h").is_some() || list.get("bh").is_some() {
            return Err(BROKEN);
        }
        signature::number(&list, "t")?;
        let validation = match list.get("cv").map(str::to_ascii_lowercase).as_deref() {
            Some("none") => Validation::None,
            Some("fail") => Validation::Fail,
            Some("pass") => Validation::Pass,
            _ => return Err(BROKEN),
        };
        Ok(Self {
            algorithm: signature::algorithm(&list)?,
            signature: signature::base64(&list, "b")?,
            domain: signature::domain(&list)?,
            selector: signature::selector(&list)?,
            validation,
        })
    }
}

/// Verifies a chain (RFC 8617 §5.2). Takes CPU time, and none of the reactor's.
pub(super) fn verify(verification: &mut Verification<'_>) -> Outcome {
    match Chain::read(verification.message, verification.now) {
        Ok(None) => Outcome::None,
        Ok(Some(chain)) => chain.verify(verification).unwrap_or_else(|flaw| outcome(&flaw)),
        Err(flaw) => outcome(&flaw),
    }
}

/// A chain is whole or it is not; only a name server that was silent leaves it open.
fn outcome(flaw: &Flaw) -> Outcome {
    if flaw.outcome == Outcome::TempError { Outcome::TempError } else { Outcome::Fail }
}

impl Chain<'_> {
    fn verify(&self, verification: &mut Verification<'_>) -> Result<Outcome, Flaw> {
        let last = self.0.last().ok_or(BROKEN)?;
        let answers = self.answers(verification.keys)?;
        let mut tags = last.tags.clone();
        let outcome = self.verify_as(&tags, verification, &answers);
        if outcome == Ok(Outcome::Pass) || last.canonicalization == Canonicalized::AsStated {
            return outcome;
        }
        tags.header_canonicalization = Canonicalization::Relaxed;
        tags.body_canonicalization = Canonicalization::Relaxed;
        self.verify_as(&tags, verification, &answers)
    }

    /// Verifies with the last message signature read in this way.
    fn verify_as(
        &self,
        last: &SignatureTags,
        verification: &mut Verification<'_>,
        answers: &Answers,
    ) -> Result<Outcome, Flaw> {
        verification.body.check(last)?;
        let mut signatures = self.numbered(Set::signature_for_mail_auth);
        if let Some(signature) = signatures.last_mut() {
            (signature.header.ch, signature.header.cb) = (last.header_canonicalization, last.body_canonicalization);
        }
        let given = AuthenticatedMessage {
            ams_headers: signatures,
            as_headers: self.numbered(Set::seal_for_mail_auth),
            aar_headers: self.numbered(|set, i| Header::new(set.results.name, set.results.value, Results { i })),
            ..verification.for_mail_auth(last.body_canonicalization)
        };
        // Every answer is at hand, so the future never waits.
        let parameters = Parameters::new(&given).with_txt_cache(answers);
        let verified = verification.authenticator.verify_arc(parameters).now_or_never();
        match verified.as_ref().map(mail_auth::ArcOutput::result) {
            Some(mail_auth::DkimResult::Pass) => Ok(Outcome::Pass),
            _ => Ok(Outcome::Fail),
        }
    }

    fn answers(&self, keys: &PublicKeys) -> Result<Answers, Flaw> {
        let mut answers = Answers::new(Otherwise::Nothing);
        let last = self.0.last().map(|set| (key_name(&set.tags.selector, &set.tags.domain), set.tags.algorithm));
        let seals = self.0.iter().map(|set| &set.seal_tags);
        let seals = seals.map(|seal| (key_name(&seal.selector, &seal.domain), seal.algorithm));
        for (name, algorithm) in last.into_iter().chain(seals) {
            answers.insert(&name, Txt::DomainKey(keys.key(&name, algorithm)?));
        }
        Ok(answers)
    }

    fn numbered<'a, T>(&'a self, make: impl Fn(&'a Set<'a>, u32) -> Header<'a, T>) -> Vec<Header<'a, T>> {
        self.0.iter().zip(1..).map(|(set, i)| make(set, i)).collect()
    }
}

impl Set<'_> {
    fn signature_for_mail_auth(&self, i: u32) -> Header<'_, Signature> {
        let tags = &self.tags;
        let signature = Signature {
            i,
            a: tags.algorithm,
            d: tags.domain.clone(),
            s: tags.selector.clone(),
            b: tags.signature.clone(),
            bh: tags.body_hash.clone(),
            h: tags.names.clone(),
            ch: tags.header_canonicalization,
            cb: tags.body_canonicalization,
            ..Signature::default()
        };
        Header::new(self.message_signature.name, self.message_signature.value, signature)
    }

    fn seal_for_mail_auth(&self, i: u32) -> Header<'_, Seal> {
        let tags = &self.seal_tags;
        let seal = Seal {
            i,
            a: tags.algorithm,
            b: tags.signature.clone(),
            d: tags.domain.clone(),
            s: tags.selector.clone(),
            t: 0,
            cv: match tags.validation {
                Validation::None => ChainValidation::None,
                Validation::Fail => ChainValidation::Fail,
                Validation::Pass => ChainValidation::Pass,
            },
        };
        Header::new(self.seal.name, self.seal.value, seal)
    }
}
