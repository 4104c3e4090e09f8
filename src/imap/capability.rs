//! What a session offers (RFC 9051 §7.2.2).
//!
//! Owns: the list of capabilities. Promises: nothing stands in it that is not complete, and what depends on the
//! state of the connection is right for that state.

use crate::accounts::Mechanism;

/// How well a connection keeps secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// In the clear; logins wait for STARTTLS.
    Clear,
    /// In the clear, and logins are allowed all the same.
    ClearAllowed,
    /// Inside TLS.
    Tls,
}

/// Whether STARTTLS can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartTls {
    /// It can.
    Offered,
    /// TLS is on, or the client has logged in.
    Absent,
}

/// The mechanisms of AUTHENTICATE.
pub(crate) const MECHANISMS: [Mechanism; 2] = [Mechanism::ScramSha256, Mechanism::Plain];

const ALWAYS: &str = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE";

const AFTER_LOGIN: &str = "IDLE NAMESPACE CHILDREN LIST-EXTENDED LIST-STATUS SPECIAL-USE CREATE-SPECIAL-USE STATUS=SIZE \
                           UIDPLUS MOVE UNSELECT BINARY CONDSTORE ESEARCH SEARCHRES WITHIN QUOTA \
                           QUOTA=RES-STORAGE QUOTA=RES-MESSAGE";

/// Before login.
pub(crate) fn before_login(privacy: Privacy, start_tls: StartTls) -> String {
    let mut capabilities = ALWAYS.to_owned();
    if start_tls == StartTls::Offered {
        capabilities.push_str(" STARTTLS");
    }
    match privacy {
        Privacy::Clear => capabilities.push_str(" LOGINDISABLED"),
        Privacy::ClearAllowed | Privacy::Tls => {
            for mechanism in MECHANISMS {
                capabilities.push_str(" AUTH=");
                capabilities.push_str(mechanism.name());
            }
        }
    }
    capabilities
}

/// After login.
pub(crate) fn after_login(message_octets_max: u64) -> String {
    format!("{ALWAYS} {AFTER_LOGIN} APPENDLIMIT={message_octets_max}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_in_the_clear_are_not_offered() {
        let clear = before_login(Privacy::Clear, StartTls::Offered);
        assert!(clear.contains("STARTTLS") && clear.contains("LOGINDISABLED") && !clear.contains("AUTH="));
        let inside = before_login(Privacy::Tls, StartTls::Absent);
        assert!(
            !inside.contains("STARTTLS") && !inside.contains("LOGINDISABLED") && inside.contains("AUTH=SCRAM-SHA-256")
        );
    }

    #[test]
    fn names_stand_once() {
        let capabilities = after_login(1000);
        let names: Vec<&str> = capabilities.split(' ').collect();
        let unique: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), unique.len());
        assert!(names.contains(&"APPENDLIMIT=1000") && !names.contains(&""));
    }
}
