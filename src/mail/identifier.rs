//! Identifiers of accounts, mailboxes, messages and contents, and the IMAP numbers of a mailbox.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroU64},
};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $raw:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// The smallest value.
            pub const FIRST: Self = Self(<$inner>::MIN);

            /// Returns `None` for zero, which names nothing.
            pub const fn new(value: $raw) -> Option<Self> {
                match <$inner>::new(value) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }

            /// The number itself.
            pub const fn get(self) -> $raw {
                self.0.get()
            }

            /// The next number, or `None` where the range is used up.
            pub const fn next(self) -> Option<Self> {
                match self.0.checked_add(1) {
                    Some(value) => Some(Self(value)),
                    None => None,
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// An account. Never reused, also not after the account is removed.
    AccountId, NonZeroU64, u64
);
number!(
    /// A mailbox of an account, whatever its name. Never reused (RFC 8474 §4).
    MailboxId, NonZeroU64, u64
);
number!(
    /// A message of an account, dense and in order of arrival, whatever mailboxes it is in. Never
    /// reused; the text index is keyed by it.
    MessageNumber, NonZeroU32, u32
);
number!(
    /// A message's unique identifier in one mailbox (RFC 9051 §2.3.1.1).
    Uid, NonZeroU32, u32
);
number!(
    /// The epoch of a mailbox's UIDs (RFC 9051 §2.3.1.1).
    UidValidity, NonZeroU32, u32
);
number!(
    /// A modification sequence (RFC 7162 §3.1). At most 63 bits.
    ModSeq, NonZeroU64, u64
);
number!(
    /// One delivery, so that applying it twice changes nothing.
    DeliveryId, NonZeroU64, u64
);

/// The name of a content: BLAKE3, keyed with a secret of the installation, over the decoded octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentId({self})")
    }
}

impl std::str::FromStr for ContentId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 64 || !text.is_ascii() {
            return Err(());
        }
        let mut octets = [0; 32];
        for (index, octet) in octets.iter_mut().enumerate() {
            let digits = text.get(index * 2..index * 2 + 2).ok_or(())?;
            *octet = u8::from_str_radix(digits, 16).map_err(|_| ())?;
        }
        Ok(Self(octets))
    }
}
