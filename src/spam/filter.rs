//! The filter: features to the model, signals beside it, one verdict.

use super::{
    features::Features,
    measure::Scored,
    model::{Model, ModelError},
    signal,
    train::logistic,
    verdict::{Disposition, Reason, Verdict},
};
use crate::{
    authentication::Report,
    mail::ReversePath,
    message::{self, Analysis, SearchText},
    spam::Example,
};
use std::{net::IpAddr, path::Path, sync::Arc};

/// The model of this release.
static SHIPPED: &[u8] = include_bytes!("../../spam-models/base.model");

/// Above which probabilities a message goes to Junk, and is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Junk from this probability on.
    pub junk: f32,
    /// 550 from this probability on.
    pub reject: f32,
}

impl Default for Thresholds {
    /// Junk from 0.9, refusal from 0.9995: a wrong refusal costs its sender a bounce, a wrong Junk costs a look.
    fn default() -> Self {
        Self { junk: 0.9, reject: 0.9995 }
    }
}

/// What is judged.
#[derive(Clone, Copy)]
pub struct Evidence<'a> {
    /// The octets as received.
    pub raw: &'a [u8],
    /// Their analysis.
    pub analysis: &'a Analysis,
    /// Their text.
    pub text: &'a SearchText,
    /// What authentication found; `None` when training or replaying from files.
    pub report: Option<&'a Report>,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// The reverse path.
    pub reverse_path: Option<&'a ReversePath>,
}

impl<'a> Evidence<'a> {
    /// A message from a file: nothing is known of how it came.
    pub fn of_file(raw: &'a [u8], analysis: &'a Analysis, text: &'a SearchText) -> Self {
        Self { raw, analysis, text, report: None, ip: None, reverse_path: None }
    }
}

/// A filter with its model. Clones share it.
#[derive(Clone, Debug)]
pub struct Filter {
    model: Arc<Model>,
    thresholds: Thresholds,
}

impl Filter {
    /// A filter with this model.
    pub fn new(model: Model, thresholds: Thresholds) -> Self {
        Self { model: Arc::new(model), thresholds }
    }

    /// A filter with the model shipped with this release.
    pub fn shipped(thresholds: Thresholds) -> Result<Self, ModelError> {
        Ok(Self::new(Model::from_octets(SHIPPED)?, thresholds))
    }

    /// A filter with a model from a file.
    pub fn load(path: &Path, thresholds: Thresholds) -> Result<Self, ModelError> {
        Ok(Self::new(Model::from_octets(&std::fs::read(path)?)?, thresholds))
    }

    /// Judges one message. CPU only: some hundred microseconds for a usual one, bounded for any.
    pub fn judge(&self, evidence: &Evidence<'_>) -> Verdict {
        let features = Features::of(evidence);
        let mut reasons = vec![Reason {
            signal: "model".to_owned(),
            weight: self.model.log_odds(&features),
            evidence: format!("{} features", features.len()),
        }];
        reasons.extend(signal::findings(evidence));
        let model_alone = logistic(reasons.first().map_or(0.0, |reason| reason.weight));
        let probability = logistic(reasons.iter().map(|reason| reason.weight).sum());
        reasons.sort_by(|one, other| other.weight.abs().total_cmp(&one.weight.abs()));
        Verdict {
            probability,
            disposition: self.disposition(probability, model_alone),
            reason: reasons.first().map_or_else(String::new, |reason| reason.signal.clone()),
            reasons,
            model: self.model.name().to_owned(),
            report: evidence.report.cloned(),
        }
    }

    /// Judges a labelled message from a file, for figures.
    pub fn score(&self, example: &Example) -> Scored {
        let analysis = message::analyse(&example.raw);
        let text = message::search_text(&example.raw, &analysis);
        let verdict = self.judge(&Evidence::of_file(&example.raw, &analysis, &text));
        let log_odds = verdict.reasons.iter().map(|reason| reason.weight).sum();
        Scored { label: example.label, log_odds }
    }

    /// Refusal needs the model's own agreement that this is Junk; signals alone never refuse.
    fn disposition(&self, probability: f32, model_alone: f32) -> Disposition {
        if probability >= self.thresholds.reject && model_alone >= self.thresholds.junk {
            Disposition::Reject
        } else if probability >= self.thresholds.junk {
            Disposition::Junk
        } else {
            Disposition::Inbox
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_hold_at_below_and_above() {
        let filter = Filter::shipped(Thresholds { junk: 0.5, reject: 0.75 }).unwrap();
        for (probability, model_alone, disposition) in [
            (0.499, 1.0, Disposition::Inbox),
            (0.5, 1.0, Disposition::Junk),
            (0.749, 1.0, Disposition::Junk),
            (0.75, 1.0, Disposition::Reject),
            (0.75, 0.499, Disposition::Junk),
        ] {
            assert_eq!(filter.disposition(probability, model_alone), disposition, "{probability} {model_alone}");
        }
    }
}
