//! Search queries as people type them: words that must all occur, and the operators that Gmail has taught.
//!
//! `from: to: cc: bcc: subject: message-id: in: is: larger: smaller: before: after: older_than: newer_than:`, `-` for not, `OR`,
//! `"several words"` and parentheses.

use super::date;
use crate::{limits, mail::Flag, store::SearchKey};

/// A query, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// The mailbox that `in:` names.
    pub(super) mailbox: Option<String>,
    /// The rest.
    pub(super) key: SearchKey,
}

/// What is wrong with a query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(String);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Or,
    Not,
    /// A word or quoted text, with its operator.
    Term(Option<String>, String),
}

/// Reads a query. An empty one finds every message.
pub(super) fn parse(text: &str) -> Result<Query, QueryError> {
    let tokens = tokens(text)?;
    if tokens.len() > limits::QUERY_TOKENS_MAX {
        return Err(error(format!("the query has more than {} words", limits::QUERY_TOKENS_MAX)));
    }
    let mut parser = Parser { tokens: tokens.into_iter().peekable(), mailbox: None, depth: 0 };
    let key = parser.all()?;
    match parser.tokens.next() {
        None => Ok(Query { mailbox: parser.mailbox, key }),
        Some(_) => Err(error("a `)` has no `(`".to_owned())),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = match first {
            '(' => (Token::Open, skip(rest)),
            ')' => (Token::Close, skip(rest)),
            '-' => (Token::Not, skip(rest)),
            _ => term(rest)?,
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn skip(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

/// A word, quoted text, or either behind an operator.
fn term(text: &str) -> Result<(Token, &str), QueryError> {
    let end = text.find([' ', '\t', '(', ')', '"', ':']).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let operator = word.to_ascii_lowercase();
    if let Some(value) = rest.strip_prefix(':').filter(|_| OPERATORS.contains(&operator.as_str())) {
        let (value, rest) = value_of(value)?;
        if value.is_empty() {
            return Err(error(format!("`{operator}:` needs a value behind it")));
        }
        return Ok((Token::Term(Some(operator), value), rest));
    }
    if word == "OR" {
        return Ok((Token::Or, rest));
    }
    let (value, rest) = value_of(text)?;
    Ok((Token::Term(None, value), rest))
}

fn value_of(text: &str) -> Result<(String, &str), QueryError> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (value, rest) = quoted.split_once('"').ok_or_else(|| error("a `\"` is not closed".to_owned()))?;
        return Ok((value.to_owned(), rest));
    }
    let end = text.find([' ', '\t', '(', ')', '"']).unwrap_or(text.len());
    let (value, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    Ok((value.to_owned(), rest))
}

const OPERATORS: [&str; 14] = [
    "from",
    "to",
    "cc",
    "bcc",
    "subject",
    "in",
    "is",
    "larger",
    "smaller",
    "before",
    "after",
    "older_than",
    "newer_than",
    "message-id",
];

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    mailbox: Option<String>,
    depth: usize,
}

impl Parser {
    /// Terms that all hold. OR binds more tightly, as it does in Gmail.
    fn all(&mut self) -> Result<SearchKey, QueryError> {
        let mut keys = Vec::new();
        while self.tokens.peek().is_some_and(|token| *token != Token::Close) {
            keys.extend(self.either()?);
        }
        Ok(match keys.len() {
            0 => SearchKey::All,
            1 => keys.remove(0),
            _ => SearchKey::And(keys),
        })
    }

    fn either(&mut self) -> Result<Option<SearchKey>, QueryError> {
        let mut key = self.factor()?;
        while self.tokens.next_if_eq(&Token::Or).is_some() {
            let (Some(left), Some(right)) = (key, self.factor()?) else {
                return Err(error("`in:` cannot stand beside OR".to_owned()));
            };
            key = Some(SearchKey::Or(Box::new(left), Box::new(right)));
        }
        Ok(key)
    }

    /// `None` for `in:`, which says where to search and not what for.
    fn factor(&mut self) -> Result<Option<SearchKey>, QueryError> {
        self.depth += 1;
        if self.depth > limits::IMAP_SEARCH_DEPTH_MAX {
            return Err(error("the query is nested too deeply".to_owned()));
        }
        let key = match self.tokens.next() {
            Some(Token::Not) => {
                let inside = self.factor()?.ok_or_else(|| error("`in:` cannot stand behind `-`".to_owned()))?;
                Some(SearchKey::Not(Box::new(inside)))
            }
            Some(Token::Open) => {
                let inside = self.all()?;
                self.tokens.next_if_eq(&Token::Close).ok_or_else(|| error("a `(` is not closed".to_owned()))?;
                Some(inside)
            }
            Some(Token::Term(None, text)) => Some(SearchKey::Text(text)),
            Some(Token::Term(Some(operator), value)) if operator == "in" => {
                if self.depth > 1 {
                    return Err(error("`in:` cannot stand in parentheses or behind `-`".to_owned()));
                }
                self.mailbox = Some(value);
                None
            }
            Some(Token::Term(Some(operator), value)) => Some(condition(&operator, value)?),
            Some(Token::Or | Token::Close) | None => return Err(error("OR needs something on both sides".to_owned())),
        };
        self.depth -= 1;
        Ok(key)
    }
}

fn condition(operator: &str, value: String) -> Result<SearchKey, QueryError> {
    let wrong = |wanted: &str| error(format!("`{operator}:{value}` is not understood; {wanted}"));
    Ok(match operator {
        "larger" => SearchKey::Larger(octets(&value).ok_or_else(|| wrong("write a size such as 500K or 10M"))?),
        "smaller" => SearchKey::Smaller(octets(&value).ok_or_else(|| wrong("write a size such as 500K or 10M"))?),
        "before" => SearchKey::Before(date::day(&value).ok_or_else(|| wrong("write a date such as 2026-11-25"))?),
        "after" => SearchKey::Since(date::day(&value).ok_or_else(|| wrong("write a date such as 2026-11-25"))?),
        "older_than" => SearchKey::Older(seconds(&value).ok_or_else(|| wrong("write a time such as 3d, 2m or 1y"))?),
        "newer_than" => SearchKey::Younger(seconds(&value).ok_or_else(|| wrong("write a time such as 3d, 2m or 1y"))?),
        "is" => flag(&value).ok_or_else(|| wrong("write unread, read, starred, answered, draft or deleted"))?,
        _ => SearchKey::Header { name: operator.to_owned(), needle: value },
    })
}

fn flag(value: &str) -> Option<SearchKey> {
    let not = |flag| SearchKey::Not(Box::new(SearchKey::Flag(flag)));
    Some(match value.to_ascii_lowercase().as_str() {
        "unread" => not(Flag::Seen),
        "read" => SearchKey::Flag(Flag::Seen),
        "starred" | "flagged" => SearchKey::Flag(Flag::Flagged),
        "answered" => SearchKey::Flag(Flag::Answered),
        "draft" => SearchKey::Flag(Flag::Draft),
        "deleted" => SearchKey::Flag(Flag::Deleted),
        _ => return None,
    })
}

fn octets(value: &str) -> Option<u64> {
    let digits = value.trim_end_matches(|character: char| !character.is_ascii_digit());
    let factor = match value.strip_prefix(digits)?.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn seconds(value: &str) -> Option<u64> {
    const DAY: u64 = 86_400;
    let digits = value.trim_end_matches(|character: char| !character.is_ascii_digit());
    let factor = match value.strip_prefix(digits)? {
        "d" => DAY,
        "m" => 30 * DAY,
        "y" => 365 * DAY,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn error(text: String) -> QueryError {
    QueryError(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(needle: &str) -> SearchKey {
        SearchKey::Text(needle.to_owned())
    }

    fn header(name: &str, needle: &str) -> SearchKey {
        SearchKey::Header { name: name.to_owned(), needle: needle.to_owned() }
    }

    #[track_caller]
    fn reads(query: &str, key: SearchKey) {
        assert_eq!(parse(query), Ok(Query { mailbox: None, key }), "{query}");
    }

    #[test]
    fn words_and_operators_are_read() {
        reads("", SearchKey::All);
        reads("invoice", text("invoice"));
        reads("  \"two words\" ", text("two words"));
        reads("http://x.test/a", text("http://x.test/a"));
        reads("a b", SearchKey::And(vec![text("a"), text("b")]));
        reads("From:ann@example.org", header("from", "ann@example.org"));
        reads("subject:\"a b\"", header("subject", "a b"));
        reads("-is:read", SearchKey::Not(Box::new(SearchKey::Flag(Flag::Seen))));
        reads("is:unread", SearchKey::Not(Box::new(SearchKey::Flag(Flag::Seen))));
        reads("larger:10M", SearchKey::Larger(10 << 20));
        reads("before:1970-01-02", SearchKey::Before(1));
        reads("newer_than:2d", SearchKey::Younger(172_800));
    }

    #[test]
    fn or_binds_more_tightly_than_standing_together() {
        let or = |one, other| SearchKey::Or(Box::new(one), Box::new(other));
        reads("a OR b c", SearchKey::And(vec![or(text("a"), text("b")), text("c")]));
        reads("a OR (b c)", or(text("a"), SearchKey::And(vec![text("b"), text("c")])));
        reads("-(a OR b)", SearchKey::Not(Box::new(or(text("a"), text("b")))));
    }

    #[test]
    fn in_names_the_mailbox() {
        let query = parse("in:\"Sent Items\" a").unwrap();
        assert_eq!((query.mailbox.as_deref(), query.key), (Some("Sent Items"), text("a")));
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for query in [
            "\"a",
            "(a",
            "a)",
            "a OR",
            "OR a",
            "larger:x",
            "before:25.11.2026",
            "is:happy",
            "from:",
            "-in:x",
            "(in:x)",
            "older_than:5",
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
        let deep = "(".repeat(1000) + "a" + &")".repeat(1000);
        assert!(parse(&deep).is_err() && parse(&"-".repeat(1000)).is_err());
    }
}
