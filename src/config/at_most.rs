//! A bound that an administrator may leave out.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The word for no bound.
const NONE: &str = "none";

/// A number, or `"none"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtMost(pub Option<u64>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(u64),
    Word(String),
}

impl<'de> Deserialize<'de> for AtMost {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Written::deserialize(deserializer) {
            Ok(Written::Number(number)) => Ok(Self(Some(number))),
            Ok(Written::Word(word)) if word == NONE => Ok(Self(None)),
            Ok(Written::Word(_)) | Err(_) => Err(de::Error::custom("expected a number, or \"none\"")),
        }
    }
}

impl Serialize for AtMost {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(number) => serializer.serialize_u64(number),
            None => serializer.serialize_str(NONE),
        }
    }
}
