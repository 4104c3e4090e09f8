//! Training: logistic regression by AdaGrad over hashed features, then calibration.

use super::{
    corpus::{Corpus, Example, Label},
    features::{self, Features},
    filter::Evidence,
    measure::{Measure, Scored},
    model::Model,
};
use std::io;

const EPOCHS: usize = 12;
const LEARNING_RATE: f32 = 0.2;
/// Pulls every weight towards zero, so that a feature seen once does not decide.
const RIDGE: f32 = 2e-4;
/// One message in five is held back for calibration and for the figures.
const HELD_BACK_EVERY: usize = 5;
const WEIGHTS: usize = 1 << features::BITS;

/// What a training run gives.
#[derive(Debug)]
pub struct Training {
    /// The model.
    pub model: Model,
    /// Figures on the messages held back.
    pub held_back: Measure,
    /// Messages trained on: ham and spam.
    pub trained_on: (usize, usize),
}

/// Trains on these corpora. The same files give the same model. `progress` is called with the number of
/// messages read so far. Memory: 4 octets for each feature of each message.
pub fn train(name: &str, corpora: &[Corpus], mut progress: impl FnMut(usize)) -> io::Result<Training> {
    let mut examples = Vec::new();
    for example in corpora.iter().flat_map(Corpus::examples) {
        examples.push(Prepared::from(&example?));
        progress(examples.len());
    }
    shuffle(&mut examples);
    let (held_back, training): (Vec<_>, Vec<_>) =
        examples.into_iter().enumerate().partition(|(index, _)| index % HELD_BACK_EVERY == 0);
    let training: Vec<Prepared> = training.into_iter().map(|(_, example)| example).collect();
    let mut model = quantised(name, &fit(&training));
    let spam = training.iter().filter(|example| example.label == Label::Spam).count();
    let raw: Vec<(f32, Label)> =
        held_back.iter().map(|(_, example)| (model.raw(&example.features), example.label)).collect();
    (model.slope, model.offset) = calibrate(&raw);
    let scored = held_back
        .iter()
        .map(|(_, example)| Scored { label: example.label, log_odds: model.log_odds(&example.features) });
    let held_back = Measure::of(scored.collect());
    Ok(Training { model, held_back, trained_on: (training.len() - spam, spam) })
}

struct Prepared {
    label: Label,
    features: Features,
}

impl From<&Example> for Prepared {
    fn from(example: &Example) -> Self {
        let analysis = crate::message::analyse(&example.raw);
        let text = crate::message::search_text(&example.raw, &analysis);
        let evidence = Evidence::of_file(&example.raw, &analysis, &text);
        Self { label: example.label, features: Features::of(&evidence) }
    }
}

/// Fisher-Yates with a fixed seed: a model can be made again from the same files.
fn shuffle(examples: &mut [Prepared]) {
    let mut state: u64 = 0x5851_f42d_4c95_7f2d;
    for last in (1..examples.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from((state >> 33) % (last as u64 + 1)).unwrap_or(0);
        examples.swap(last, other);
    }
}

struct Fitted {
    bias: f32,
    weights: Vec<f32>,
}

fn fit(examples: &[Prepared]) -> Fitted {
    let mut fitted = Fitted { bias: 0.0, weights: vec![0.0; WEIGHTS] };
    let mut squares = vec![1e-6_f32; WEIGHTS];
    for epoch in 0..EPOCHS {
        let rate = LEARNING_RATE / (1.0 + epoch as f32 / 4.0);
        for example in examples {
            step(&mut fitted, &mut squares, example, rate);
        }
    }
    fitted
}

fn step(fitted: &mut Fitted, squares: &mut [f32], example: &Prepared, rate: f32) {
    let share = 1.0 / (example.features.len().max(1) as f32).sqrt();
    let at = |feature: u32| usize::try_from(feature).unwrap_or(0);
    let sum: f32 = example.features.iter().filter_map(|feature| fitted.weights.get(at(feature))).sum();
    let wanted = f32::from(u8::from(example.label == Label::Spam));
    let error = logistic(fitted.bias + sum * share) - wanted;
    fitted.bias -= rate * 0.02 * error;
    for feature in example.features.iter() {
        let (Some(weight), Some(square)) = (fitted.weights.get_mut(at(feature)), squares.get_mut(at(feature))) else {
            continue;
        };
        let gradient = error * share + RIDGE * *weight;
        *square += gradient * gradient;
        *weight -= rate * gradient / square.sqrt();
    }
}

pub(super) fn logistic(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
}

fn quantised(name: &str, fitted: &Fitted) -> Model {
    let largest = fitted.weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs())).max(1e-6);
    let step = largest / 127.0;
    let weights = fitted.weights.iter().map(|weight| (weight / step).round().clamp(-127.0, 127.0) as i8).collect();
    Model { name: name.to_owned(), bias: fitted.bias, step, slope: 1.0, offset: 0.0, weights }
}

/// Platt scaling: slope and offset that make the held-back log-odds honest, by gradient descent on
/// the smoothed targets (Platt 1999), which keeps a perfect separation from asking for an infinite slope.
fn calibrate(raw: &[(f32, Label)]) -> (f32, f32) {
    let spam = raw.iter().filter(|(_, label)| *label == Label::Spam).count() as f32;
    let ham = raw.len() as f32 - spam;
    if spam == 0.0 || ham == 0.0 {
        return (1.0, 0.0);
    }
    let (high, low) = ((spam + 1.0) / (spam + 2.0), 1.0 / (ham + 2.0));
    let (mut slope, mut offset) = (1.0_f32, 0.0_f32);
    for _ in 0..4000 {
        let (mut down_slope, mut down_offset) = (0.0, 0.0);
        for (score, label) in raw {
            let target = if *label == Label::Spam { high } else { low };
            let error = logistic(slope * score + offset) - target;
            down_slope += error * score;
            down_offset += error;
        }
        slope -= 0.5 * down_slope / raw.len() as f32;
        offset -= 0.5 * down_offset / raw.len() as f32;
    }
    (slope.max(0.1), offset)
}
