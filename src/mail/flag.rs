//! Flags of a message: the five system flags and keywords (RFC 9051 §2.3.2).

use std::{collections::BTreeSet, fmt};

/// A keyword: a flag that is not a system flag. An atom, kept as first written; two keywords that
/// differ in ASCII case only are one.
#[derive(Clone, Debug)]
pub struct Keyword(Box<str>);

impl Keyword {
    /// Octets of a keyword at most; longer ones are refused.
    pub const OCTETS_MAX: usize = 255;

    /// Returns `None` where `name` is no atom (RFC 9051 §9, flag-keyword) or is too long.
    pub fn new(name: &str) -> Option<Self> {
        let valid = !name.is_empty()
            && name.len() <= Self::OCTETS_MAX
            && name.bytes().all(|octet| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet));
        valid.then(|| Self(name.into()))
    }

    /// The name as first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl PartialOrd for Keyword {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keyword {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(&other.folded())
    }
}

/// One flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `\Seen`
    Seen,
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Draft`
    Draft,
    /// Any other flag.
    Keyword(Keyword),
}

impl Flag {
    /// Reads a flag; system flags compare without regard to case. `None` for `\Recent`, unknown
    /// system flags and what is no atom.
    pub fn parse(name: &str) -> Option<Self> {
        let Some(system) = name.strip_prefix('\\') else {
            return Keyword::new(name).map(Self::Keyword);
        };
        [Self::Seen, Self::Answered, Self::Flagged, Self::Deleted, Self::Draft]
            .into_iter()
            .find(|flag| flag.to_string().trim_start_matches('\\').eq_ignore_ascii_case(system))
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Seen => "\\Seen",
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
            Self::Keyword(keyword) => keyword.as_str(),
        })
    }
}

/// The five system flags as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SystemFlags(pub u8);

impl SystemFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// `\Seen`
    pub const SEEN: Self = Self(1);
    /// `\Answered`
    pub const ANSWERED: Self = Self(2);
    /// `\Flagged`
    pub const FLAGGED: Self = Self(4);
    /// `\Deleted`
    pub const DELETED: Self = Self(8);
    /// `\Draft`
    pub const DRAFT: Self = Self(16);

    /// Whether every flag of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without those of `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The bit of a system flag; `None` for a keyword.
    pub const fn of(flag: &Flag) -> Option<Self> {
        Some(match flag {
            Flag::Seen => Self::SEEN,
            Flag::Answered => Self::ANSWERED,
            Flag::Flagged => Self::FLAGGED,
            Flag::Deleted => Self::DELETED,
            Flag::Draft => Self::DRAFT,
            Flag::Keyword(_) => return None,
        })
    }
}

/// A set of flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// System flags.
    pub system: SystemFlags,
    /// Keywords.
    pub keywords: BTreeSet<Keyword>,
}

impl Flags {
    /// Adds a flag.
    pub fn insert(&mut self, flag: Flag) {
        match (SystemFlags::of(&flag), flag) {
            (Some(bit), _) => self.system = self.system.union(bit),
            (None, Flag::Keyword(keyword)) => {
                self.keywords.insert(keyword);
            }
            (None, _) => {}
        }
    }

    /// Whether the flag is set.
    pub fn contains(&self, flag: &Flag) -> bool {
        match (SystemFlags::of(flag), flag) {
            (Some(bit), _) => self.system.contains(bit),
            (None, Flag::Keyword(keyword)) => self.keywords.contains(keyword),
            (None, _) => false,
        }
    }

    /// Every flag, system flags first.
    pub fn iter(&self) -> impl Iterator<Item = Flag> + '_ {
        [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft]
            .into_iter()
            .filter(|flag| SystemFlags::of(flag).is_some_and(|bit| self.system.contains(bit)))
            .chain(self.keywords.iter().cloned().map(Flag::Keyword))
    }
}

impl FromIterator<Flag> for Flags {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        let mut set = Self::default();
        flags.into_iter().for_each(|flag| set.insert(flag));
        set
    }
}
