//! A linear model over hashed features, and its file.
//!
//! The file (little endian): `PSTNSPAM`, format version, feature version, length and text of the
//! name, bias, scale of a weight step, slope and offset of the calibration, BLAKE3 of all before it and of the weights, then
//! one signed octet for each weight, compressed with zstd. No word of any message is in it.

use super::features::{self, Features};

const MAGIC: &[u8; 8] = b"PSTNSPAM";
const FORMAT_VERSION: u8 = 1;
const WEIGHTS: usize = 1 << features::BITS;
const ZSTD_LEVEL: i32 = 19;

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("the model cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The file is no model of a version we know, or it is damaged.
    #[error("not a spam model of this release: {0}")]
    Format(&'static str),
}

/// A trained model.
#[derive(Clone, PartialEq)]
pub struct Model {
    pub(super) name: String,
    pub(super) bias: f32,
    /// What one step of a weight is worth.
    pub(super) step: f32,
    /// Calibration: log-odds = slope × raw + offset.
    pub(super) slope: f32,
    pub(super) offset: f32,
    pub(super) weights: Vec<i8>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Model {
    /// The model's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Calibrated log-odds of spam.
    pub(super) fn log_odds(&self, features: &Features) -> f32 {
        self.slope * self.raw(features) + self.offset
    }

    /// The sum of weights over the square root of the number of features, so that a long
    /// message is not surer for its length alone.
    pub(super) fn raw(&self, features: &Features) -> f32 {
        let sum: i64 = features.iter().map(|feature| i64::from(self.weight(feature))).sum();
        self.bias + sum as f32 * self.step / (features.len().max(1) as f32).sqrt()
    }

    fn weight(&self, feature: u32) -> i8 {
        usize::try_from(feature).ok().and_then(|index| self.weights.get(index)).copied().unwrap_or(0)
    }

    /// Writes the file's octets.
    pub fn to_octets(&self) -> Vec<u8> {
        let weights: Vec<u8> = self.weights.iter().map(|weight| weight.to_le_bytes()[0]).collect();
        let name = self.name.as_bytes();
        let mut octets = MAGIC.to_vec();
        octets.extend([FORMAT_VERSION, features::VERSION, u8::try_from(name.len()).unwrap_or(0)]);
        octets.extend(name.iter().take(255));
        for number in [self.bias, self.step, self.slope, self.offset] {
            octets.extend(number.to_le_bytes());
        }
        octets.extend(checksum(&octets, &weights).as_bytes());
        octets.extend(zstd::bulk::compress(&weights, ZSTD_LEVEL).expect("compressing into memory does not fail"));
        octets
    }

    /// Reads the file's octets. Memory is bounded by the number of weights, whatever the file says.
    pub fn from_octets(octets: &[u8]) -> Result<Self, ModelError> {
        let rest = octets.strip_prefix(MAGIC).ok_or(ModelError::Format("it does not begin like one"))?;
        let (&[format, features_version, name_octets], rest) =
            rest.split_first_chunk().ok_or(ModelError::Format("it is cut short"))?;
        if format != FORMAT_VERSION || features_version != features::VERSION {
            return Err(ModelError::Format("it was made by another version; train it again"));
        }
        let short = || ModelError::Format("it is cut short");
        let (name, rest) = rest.split_at_checked(usize::from(name_octets)).ok_or_else(short)?;
        let name = std::str::from_utf8(name).map_err(|_| ModelError::Format("its name is not UTF-8"))?.to_owned();
        let (bias, rest) = number(rest).ok_or_else(short)?;
        let (step, rest) = number(rest).ok_or_else(short)?;
        let (slope, rest) = number(rest).ok_or_else(short)?;
        let (offset, rest) = number(rest).ok_or_else(short)?;
        let header = octets.get(..octets.len() - rest.len()).unwrap_or_default();
        let (stored, compressed) = rest.split_first_chunk::<32>().ok_or_else(short)?;
        let weights =
            zstd::bulk::decompress(compressed, WEIGHTS).map_err(|_| ModelError::Format("its weights are damaged"))?;
        if weights.len() != WEIGHTS || checksum(header, &weights).as_bytes() != stored {
            return Err(ModelError::Format("its weights are damaged"));
        }
        let weights = weights.into_iter().map(|weight| i8::from_le_bytes([weight])).collect();
        Ok(Self { name, bias, step, slope, offset, weights })
    }
}

fn checksum(header: &[u8], weights: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header);
    hasher.update(weights);
    hasher.finalize()
}

fn number(octets: &[u8]) -> Option<(f32, &[u8])> {
    let (number, rest) = octets.split_first_chunk()?;
    let number = f32::from_le_bytes(*number);
    number.is_finite().then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let weights = (0..WEIGHTS).map(|index| i8::try_from(index % 7).unwrap() - 3).collect();
        Model { name: "test".to_owned(), bias: 0.5, step: 0.01, slope: 1.5, offset: -0.25, weights }
    }

    #[test]
    fn a_model_reads_back() {
        assert!(Model::from_octets(&model().to_octets()).unwrap() == model());
    }

    #[test]
    fn no_damage_gives_another_model() {
        let octets = model().to_octets();
        for at in (0..120).chain((120..octets.len()).step_by(octets.len() / 97)) {
            let mut damaged = octets.clone();
            damaged[at] ^= 0x40;
            // zstd has bits that mean nothing; whatever is damaged, no other model is read.
            assert!(Model::from_octets(&damaged).map_or(true, |read| read == model()), "octet {at}");
            assert!(Model::from_octets(&octets[..at]).is_err(), "cut at {at}");
        }
    }
}
