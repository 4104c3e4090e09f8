//! What the SEARCH keys look at.

/// The searchable text of one message, decoded to UTF-8 and not yet folded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchText {
    /// The header fields of the message itself, in order.
    pub headers: Vec<HeaderText>,
    /// Every text part (HTML as its text), and header fields of nested messages, separated by line ends.
    pub body: String,
}

/// One decoded header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderText {
    /// Name in lower case.
    pub name: String,
    /// Value, decoded and unfolded.
    pub value: String,
}
