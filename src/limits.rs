//! Every bound of the server, with its unit, its reason and the RFC section it comes from.
//!
//! A limit that an administrator may change has its default here and its key in `config.toml`.

/// Octets of one SMTP command line, CRLF included, outside AUTH (RFC 5321 §4.5.3.1.4 asks for 512;
/// extensions such as SMTPUTF8, SIZE and DSN add up to 2,048).
pub const SMTP_COMMAND_LINE_OCTETS_MAX: usize = 2048;

/// Octets of one message as accepted (RFC 1870 §4 announces it as SIZE).
pub const MESSAGE_OCTETS_MAX_DEFAULT: u64 = 50 * 1024 * 1024;

/// Depth of nested MIME parts that are read; deeper ones stay opaque octets (RFC 2046 §5.1.1 sets none).
pub const MIME_DEPTH_MAX: usize = 32;

/// Number of MIME parts that are read in one message; what follows stays part of the last one.
pub const MIME_PARTS_MAX: usize = 2000;

/// Parameters that are read of one MIME header field. Continued file names (RFC 2231 §3) use one for every
/// 60 octets or so.
pub const MIME_PARAMETERS_MAX: usize = 64;

/// Octets of one value that ENVELOPE and BODYSTRUCTURE keep: they are in every message record, and no
/// client shows longer ones. The header itself is served whole.
pub const STRUCTURE_VALUE_OCTETS_MAX: usize = 4 * 1024;

/// Addresses that the ENVELOPEs of one message keep together, its nested messages included.
pub const ENVELOPE_ADDRESSES_MAX: usize = 10_000;

/// Octets of text that are searchable in one message, decoded. All but a few logs and data dumps have less.
pub const SEARCH_TEXT_OCTETS_MAX: usize = 8 * 1024 * 1024;

/// Messages in base64 within one another whose text is searchable. Each is decoded into memory.
pub const DECODED_MESSAGE_DEPTH_MAX: usize = 3;

/// Characters of a preview (RFC 8970 §3.1).
pub const PREVIEW_CHARACTERS_MAX: usize = 200;

/// Octets of a body that are read for its preview: HTML may open with tens of kilobytes of style.
pub const PREVIEW_INPUT_OCTETS_MAX: usize = 64 * 1024;

/// Octets of a part from which a base64 body is stored decoded. Smaller parts are not worth a record.
pub const DECODED_PART_OCTETS_MIN: usize = 4 * 1024;

/// Base64 parts of one message that are kept decoded; further ones stay as they came. Keeps the
/// manifest within one value of the metadata store (64 KiB).
pub const DECODED_PARTS_MAX: usize = 500;

/// Octets of decoded content above which a part is staged as an object of its own before the batch.
pub const STAGED_PART_OCTETS_MIN: usize = 256 * 1024;

/// Octets of one message's contents, as stored, that travel in its batch; the rest is staged. Half of
/// the largest batch (8 MiB), so that records of 100 recipients fit beside them.
pub const FRESH_OCTETS_MAX: usize = 4 * 1024 * 1024;

/// Octets of decoded content above which a content keeps an object of its own. Smaller ones share packs.
pub const SOLE_CONTENT_OCTETS_MIN: u64 = 1024 * 1024;

/// Decoded octets of one frame, the unit that is compressed, checked and read. With its head it fits
/// one value of the metadata store (64 KiB); larger frames would save little and cost short reads more.
pub const FRAME_OCTETS: usize = 60 * 1024;

/// Octets at which a pack is closed. It is put together in memory.
pub const PACK_OCTETS_TARGET: u64 = 16 * 1024 * 1024;

/// Messages whose contents are gathered into one pack; bounds the pack's index and the batch.
pub const PACK_MESSAGES_MAX: u64 = 4096;

/// Octets of fresh contents that the packer finds worth a pack before their time is up.
pub const PACK_OCTETS_MIN: u64 = 8 * 1024 * 1024;

/// Milliseconds that a small amount of fresh contents may wait for a pack: a day, so that a quiet
/// server does not make a file per message.
pub const PACK_WAIT_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Seconds of one generation of packs: a content without a reference goes in the third one after it was packed.
/// Longer ones find more equals, shorter ones free room sooner.
pub const GENERATION_SECONDS: u64 = 30 * 24 * 60 * 60;

/// Hours that a content is kept after a sweep found it without a reference, and an object that was written
/// again elsewhere: whoever has begun to read it finishes, and a backup that lists it finds it.
pub const SWEEP_GRACE_HOURS_DEFAULT: u64 = 24;

/// Seconds between two sweeps.
pub const SWEEP_EVERY_SECONDS: i64 = 24 * 60 * 60;

/// Seconds between two looks whether a sweep is due.
pub const SWEEP_LOOK_SECONDS: u64 = 600;

/// Hours that an object which no row names is left alone: its delivery may be about to name it.
pub const ORPHAN_HOURS: u64 = 24;

/// Contents whose references are counted at once: 16 MiB of memory.
pub const SWEEP_CONTENTS_AT_ONCE: usize = 256 * 1024;

/// Contents that are written into one pack again at most; bounds the batch that moves them.
pub const REPACK_CONTENTS_MAX: usize = 16 * 1024;

/// Objects of which the rest is written into one pack at most.
pub const REPACK_OBJECTS_MAX: usize = 256;

/// Octets of what an owner's record needs beside the body (trace fields, verdict).
pub const OWNER_TAG_OCTETS_MAX: usize = 32 * 1024;

/// Tries of one request to a remote object store; with the pauses between them some seconds, so that the restart of one
/// of its machines is not seen and an outage is told soon.
pub const OBJECT_TRIES_MAX: u32 = 4;

/// Milliseconds before the second try; each further pause is longer by the factor.
pub const OBJECT_PAUSE_MILLIS: u64 = 100;

/// How much longer each pause between tries is than the one before.
pub const OBJECT_PAUSE_FACTOR: u32 = 5;

/// Retries inside one try, by object_store itself: it knows which answers ask for one.
pub const OBJECT_CLIENT_RETRIES_MAX: usize = 1;

/// Seconds that one try of a small request to a remote object store may take.
pub const OBJECT_TRY_SECONDS: u64 = 20;

/// Octets a second that a remote object store is expected to take or give at least; large requests get the time for it.
pub const OBJECT_OCTETS_PER_SECOND_MIN: u64 = 256 * 1024;

/// Seconds until a connection to a remote object store must stand.
pub const OBJECT_CONNECT_SECONDS: u64 = 5;

/// Seconds after which object_store itself gives a request up. Never reached: our own bound goes by the octets.
pub const OBJECT_CLIENT_SECONDS: u64 = 24 * 3600;

/// Octets of an object that travel in one request; larger ones travel in parts. Above any pack, so that packs are
/// created by one conditional request.
pub const OBJECT_WHOLE_OCTETS_MAX: u64 = 32 * 1024 * 1024;

/// Octets of one part of a large object (services take 5 MiB to 5 GiB).
pub const OBJECT_PART_OCTETS: usize = 8 * 1024 * 1024;

/// Parts of one large object that travel at once.
pub const OBJECT_PARTS_IN_FLIGHT: usize = 4;

/// Octets of local copies of remote index bundles.
pub const OBJECT_COPIES_OCTETS_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// How often a content is looked up again because it was on its way from one place to another.
pub const CONTENT_LOOKUPS_MAX: usize = 4;

/// Percentages of a quota at which an account's owner is warned: once with time left to tidy up, once before mail is
/// refused.
pub const QUOTA_WARNINGS_DEFAULT: [u8; 2] = [80, 95];

/// Octets that trace fields of one copy take, about: where a size is announced, a message must fit with them.
pub const TRACE_OCTETS_EXPECTED: u64 = 2048;

/// Recipients of one transaction (RFC 5321 §4.5.3.1.8 asks for at least 100).
pub const RECIPIENTS_MAX: usize = 100;

/// Distinct keywords of one mailbox: they are kept as bits of one 64-bit column.
pub const MAILBOX_KEYWORDS_MAX: usize = 64;

/// Milliseconds until another try at accepting, where the process is out of file descriptors or memory.
pub const ACCEPT_RETRY_MILLIS: u64 = 100;

/// Seconds that a TLS handshake may take.
pub const TLS_HANDSHAKE_SECONDS: u64 = 60;

/// Seconds that sessions may take to end once the server drains.
pub const DRAIN_SECONDS: u64 = 30;

/// Octets of messages in memory at once, over all SMTP sessions: 512 MiB takes ten of the largest, or
/// thousands of usual ones. Further content is answered 452 and not kept.
pub const CONTENT_OCTETS_IN_FLIGHT_MAX: u64 = 512 * 1024 * 1024;

/// Octets of a message's text that the spam filter looks at: enough for any letter, and a bound on
/// what a large one costs.
pub const SPAM_TEXT_OCTETS_MAX: usize = 256 * 1024;

/// Characters of a link's host that the spam filter looks at (RFC 1035 §2.3.4 allows 255 octets).
pub const SPAM_HOST_OCTETS_MAX: usize = 255;
/// Octets of one line of AUTH, CRLF included (RFC 4954 §4).
pub const SMTP_AUTH_LINE_OCTETS_MAX: usize = 12_288;

/// Octets of a refused SMTP command line that are read and thrown away until the connection is closed instead.
pub const SMTP_LINE_DISCARD_OCTETS_MAX: usize = 64 * 1024;

/// Octets of one path with its brackets (RFC 5321 §4.5.3.1.3).
pub const SMTP_PATH_OCTETS_MAX: usize = 256;

/// Wrong commands of one SMTP session; the next is answered 421. Postfix allows as many.
pub const SMTP_ERRORS_MAX: u32 = 20;

/// SMTP commands that move nothing (NOOP, RSET, VRFY, HELP, a second EHLO) between two messages; the next is
/// answered 421. Postfix allows as many.
pub const SMTP_IDLE_COMMANDS_MAX: u32 = 100;

/// Recipients of one SMTP session that were refused; the next is answered 421, since somebody tries out names.
pub const SMTP_RECIPIENTS_REFUSED_MAX: u32 = 20;

/// Failed logins of one session; the next is answered 421.
pub const LOGIN_FAILURES_MAX: u32 = 3;

/// How many times the largest message a client may send past the limit and still be heard out: its 552 comes after the
/// end of data, and a sender that is cut off before would try again for days.
pub const OVERSIZE_FACTOR: u64 = 4;

/// Octets of a message from which work on all of it leaves the reactor: below, it takes some 100 µs.
pub const INLINE_WORK_OCTETS_MAX: usize = 64 * 1024;

/// Received fields from which a message is taken to be going in circles (RFC 5321 §6.3 wants 100 at least).
pub const RECEIVED_FIELDS_OF_A_LOOP: usize = 100;

/// Refused recipients of one SMTP session from which each further refusal is held back for
/// [`SMTP_REFUSAL_DELAY_SECONDS`].
pub const SMTP_RECIPIENTS_REFUSED_AT_ONCE: u32 = 10;

/// Seconds that a refused recipient waits where somebody tries out names.
pub const SMTP_REFUSAL_DELAY_SECONDS: u64 = 1;

/// Seconds from one SMTP command to the end of the next (RFC 5321 §4.5.3.2.7).
pub const SMTP_COMMAND_SECONDS: u64 = 300;

/// The same while most places of the listener are taken.
pub const SMTP_COMMAND_SECONDS_UNDER_STRESS: u64 = 20;

/// Seconds from one piece of content to the next (RFC 5321 §4.5.3.2.5 has the client wait as long for us).
pub const SMTP_CONTENT_BLOCK_SECONDS: u64 = 180;

/// Seconds of one transaction, however steadily its octets drip: the largest message at 15 KB/s.
pub const SMTP_TRANSACTION_SECONDS: u64 = 3600;

/// Seconds that a client may leave our replies unread.
pub const SMTP_WRITE_SECONDS: u64 = 60;

/// Octets read at once while commands come, and while content does.
pub const SMTP_COMMAND_READ_OCTETS: usize = 4 * 1024;
/// See [`SMTP_COMMAND_READ_OCTETS`].
pub const SMTP_CONTENT_READ_OCTETS: usize = 64 * 1024;

/// Octets of a mailbox name in UTF-8: room for a dozen levels, and for its modified UTF-7 form in one line.
pub const MAILBOX_NAME_OCTETS_MAX: usize = 1000;

/// Levels of a mailbox name: LIST with a pattern costs a step a level.
pub const MAILBOX_LEVELS_MAX: usize = 32;

/// Mailboxes of one account, and subscribed names: they are kept in one row.
pub const MAILBOXES_MAX: usize = 10_000;

/// Octets of a key of the metadata store: what every engine takes.
pub const KEY_OCTETS_MAX: usize = 1024;

/// Octets of a value of the metadata store: what every engine takes without a stall.
pub const VALUE_OCTETS_MAX: usize = 64 * 1024;

/// Octets of a message's text that travel in its batch, once for each recipient. A longer text is
/// extracted from the stored body again when it is searched or indexed.
pub const TAIL_VALUE_OCTETS_MAX: usize = 512 * 1024;

/// Octets of keys and values in one batch of the metadata store: what every engine takes.
pub const BATCH_OCTETS_MAX: usize = 8 * 1024 * 1024;

/// Octets from which a group of writes to a partition takes no further one. Half of a batch, so that the last one
/// may be as large.
pub const GROUP_OCTETS_MAX: usize = 4 * 1024 * 1024;

/// Octets of one delivery's records, texts and owners in one batch, beside its contents ([`FRESH_OCTETS_MAX`]) and
/// the outbox row that names the further recipients. Those beyond go into batches of their own.
pub const COPIES_OCTETS_MAX: usize = 2 * 1024 * 1024;

/// Blocks of 256 UIDs that one commit of STORE, COPY, MOVE or EXPUNGE changes: 65,536 messages, and half of a batch
/// where all of them are copied. What is beyond goes into further commits.
pub const CHANGE_BLOCKS_MAX: usize = 256;

/// Writes that wait for a partition's writer; further callers wait for a place.
pub const WRITES_WAITING_MAX: usize = 1024;

/// Octets that must be free on the disk before a message is taken: room for the log, a flush and a pack.
pub const DISK_FREE_OCTETS_MIN: u64 = 256 * 1024 * 1024;

/// Octets of open mailboxes that are kept in memory when no session uses them.
pub const OPEN_MAILBOX_OCTETS_MAX: usize = 64 * 1024 * 1024;

/// Octets of message records that are kept decoded: some thousands of usual ones.
pub const RECORDS_CACHED_OCTETS_MAX: usize = 16 * 1024 * 1024;

/// Octets of accounts' counters and mailbox names that are kept decoded: some thousands of accounts.
pub const ACCOUNTS_CACHED_OCTETS_MAX: usize = 16 * 1024 * 1024;

/// Rows of a mailbox's change log, one for each EXPUNGE or MOVE. Beyond, the older half goes, and a client
/// that was away for longer compares UIDs (RFC 7162 §3.2.5.2).
pub const CHANGE_LOG_ROWS_MAX: u32 = 10_000;

/// Days that a delivery is remembered whose sender never showed that it saw our reply (RFC 5321 §4.5.4.1
/// has senders give up after four or five days).
pub const REPEAT_DAYS: i64 = 7;

/// Days for which deleted mail and removed accounts can be brought back. Longer than a holiday weekend, shorter than
/// most laws let deleted mail be kept.
pub const UNDELETE_DAYS_DEFAULT: u32 = 14;

/// Seconds between two sweeps of remembered deliveries that are too old.
pub const REPEAT_SWEEP_SECONDS: u64 = 3600;
/// Octets of one IMAP command with its literals, the message of an APPEND left out (RFC 7162 §4 asks
/// for 8,192; clients send sets of tens of thousands of UIDs).
pub const IMAP_COMMAND_OCTETS_MAX: usize = 1024 * 1024;

/// Octets of one IMAP command before login. Keeps an unknown peer cheap; the largest is ID, whose 30 fields of 30 and
/// 1,024 octets must be taken (RFC 2971 §3.3).
pub const IMAP_COMMAND_OCTETS_MAX_BEFORE_LOGIN: usize = 40 * 1024;

/// Octets of one literal of a command, the message of an APPEND left out.
pub const IMAP_LITERAL_OCTETS_MAX: u64 = 256 * 1024;

/// Octets of one literal before login.
pub const IMAP_LITERAL_OCTETS_MAX_BEFORE_LOGIN: u64 = 8 * 1024;

/// Octets of a refused command that are read away before the connection is closed instead (RFC 7888 §4).
pub const IMAP_SKIPPED_OCTETS_MAX: u64 = 128 * 1024 * 1024;

/// Octets of a client's answer during AUTHENTICATE, in base64.
pub const IMAP_SASL_LINE_OCTETS_MAX: usize = 12 * 1024;

/// Octets read from an IMAP client at once.
pub const IMAP_READ_OCTETS: usize = 16 * 1024;

/// Octets of responses that are collected before they are sent, and octets of a body read at once.
pub const IMAP_WRITE_OCTETS: usize = 64 * 1024;

/// Octets of buffers that an idle IMAP connection keeps; larger ones are freed.
pub const IMAP_IDLE_BUFFER_OCTETS: usize = 4 * 1024;

/// Messages that FETCH looks up at once where it needs no more than their rows.
pub const IMAP_FETCH_ROWS: usize = 1024;

/// Messages that FETCH looks up at once where it reads headers or bodies; also how many may gain `\Seen` before they are sent.
pub const IMAP_FETCH_BODIES: usize = 16;

/// Seconds from connection to login.
pub const IMAP_LOGIN_SECONDS_MAX: u64 = 180;

/// Seconds without a command before a session is ended (RFC 9051 §5.4 asks for at least 30 minutes).
pub const IMAP_IDLE_SECONDS_MAX: u64 = 30 * 60;

/// Seconds between two signs of life during IDLE, so that NAT tables keep the connection.
pub const IMAP_STILL_HERE_SECONDS: u64 = 120;

/// Seconds that a client may take to accept a buffer of responses, or to send the next octets of a literal.
pub const IMAP_TRANSFER_SECONDS_MAX: u64 = 300;

/// Milliseconds that a failed login waits for its answer.
pub const IMAP_LOGIN_FAILURE_MILLISECONDS: u64 = 1000;

/// Failed logins before the connection is closed.
pub const IMAP_LOGIN_FAILURES_MAX: u32 = 4;

/// Commands in a row that are answered BAD before the connection is closed.
pub const IMAP_BAD_COMMANDS_MAX: u32 = 20;

/// Connections at once of one account to one listener. Clients open several per device.
pub const IMAP_CONNECTIONS_PER_ACCOUNT_MAX: u32 = 100;

/// Mailboxes whose `\Recent` messages are remembered; of others, those count that arrived since the start.
pub const IMAP_RECENT_MAILBOXES_MAX: usize = 100_000;

/// Depth of nested SEARCH keys. A chain of OR counts as one level.
pub const IMAP_SEARCH_DEPTH_MAX: usize = 64;

/// Keys of one SEARCH.
pub const IMAP_SEARCH_KEYS_MAX: usize = 2000;

/// Depth of a part number in FETCH, such as `BODY[1.2.3]`.
pub const IMAP_SECTION_DEPTH_MAX: usize = 64;

/// Octets of a password: room for any sentence.
pub const PASSWORD_OCTETS_MAX: usize = 1024;

/// KiB of memory that hashing a password takes: the first choice of OWASP for Argon2id, and some 20 ms.
pub const ARGON2_MEMORY_KIB: u32 = 19 * 1024;

/// Passes of Argon2id over its memory; goes with [`ARGON2_MEMORY_KIB`].
pub const ARGON2_PASSES: u32 = 2;

/// Lanes of Argon2id: one, since logins run beside one another.
pub const ARGON2_LANES: u32 = 1;

/// Octets of the salt of a password (RFC 9106 §3.1 recommends 16).
pub const SALT_OCTETS: usize = 16;

/// Iterations of SCRAM-SHA-256. RFC 7677 §4 asks for 4,096 at least, which is little today; a client pays for them at
/// each login, and a slow telephone should not take a second. Cyrus SASL, and with it mbsync, refuses more than 65,536.
pub const SCRAM_ITERATIONS: u32 = 60_000;

/// Seconds that a right password is remembered, so that clients that reconnect do not pay for Argon2id.
pub const LOGIN_REMEMBERED_SECONDS: i64 = 600;

/// Logins remembered at once: about 1 MiB.
pub const LOGINS_REMEMBERED_MAX: usize = 10_000;

/// Targets of one alias. Its row must fit one value of the store.
pub const ALIAS_TARGETS_MAX: usize = 150;

/// Aliases that lead to one another in a row.
pub const ALIAS_DEPTH_MAX: usize = 8;

/// Accounts that one alias leads to, through others too: each is one copy of one delivery.
pub const ALIAS_ACCOUNTS_MAX: usize = 1000;

/// How often a change of the directory is tried whose ground another change has moved.
pub const DIRECTORY_TRIES_MAX: usize = 3;
/// Messages of an account's tail at which a segment is made of it: a scan of so many costs well under a millisecond.
pub const INDEX_TAIL_MESSAGES: usize = 128;

/// Seconds after which a shorter tail is indexed too.
pub const INDEX_TAIL_SECONDS: u64 = 60;

/// Milliseconds between two looks for tails that are old enough.
pub const INDEX_TICK_MILLIS: u64 = 500;

/// Messages of one new segment at most.
pub const INDEX_SEGMENT_MESSAGES: usize = 1000;

/// Octets of text of one new segment, about: what a build holds in memory.
pub const INDEX_SEGMENT_OCTETS: usize = 16 * 1024 * 1024;

/// Segments of one size that are merged into one of the next.
pub const INDEX_MERGE_SEGMENTS: usize = 8;

/// Indexing jobs at once: the machine has other work.
pub const INDEX_JOBS_MAX: usize = 2;

/// Octets of open segments; they are mapped, so this bounds address space and page cache wished for.
pub const INDEX_OPEN_OCTETS_MAX: usize = 1024 * 1024 * 1024;

/// Times that a search reads the segment rows again because a merge took a bundle away.
pub const INDEX_RETRIES: usize = 8;

/// Seconds that the store may take to close at the end, after sessions have had theirs. Supervisors kill after 90.
pub const STORE_CLOSE_SECONDS: u64 = 30;

/// Connections at once to one metrics listener: scrapers come one by one.
pub const METRICS_CONNECTIONS_MAX: usize = 32;

/// Octets of a request for metrics, head only.
pub const METRICS_REQUEST_OCTETS_MAX: usize = 8 * 1024;

/// Seconds of one request for metrics.
pub const METRICS_SECONDS: u64 = 10;
/// Connections at once to the control socket; further ones wait.
pub const CONTROL_CONNECTIONS_MAX: usize = 16;

/// Octets of one request on the control socket: an alias with its targets is the longest.
pub const CONTROL_REQUEST_OCTETS_MAX: usize = 64 * 1024;

/// Seconds from connecting to the control socket to the whole request.
pub const CONTROL_REQUEST_SECONDS: u64 = 10;

/// Octets of one event on the control socket: the header of a message is the longest.
pub const CONTROL_EVENT_OCTETS_MAX: usize = 4 * 1024 * 1024;

/// Events of a task that wait for a slow client; then the task waits.
pub const CONTROL_EVENTS_WAITING_MAX: usize = 64;

/// Messages of one import: some 500 MiB of memory for where they are. More are imported in parts.
pub const IMPORT_MESSAGES_MAX: usize = 5_000_000;

/// Octets of one imported message; it is held in memory.
pub const IMPORT_MESSAGE_OCTETS_MAX: u64 = 256 * 1024 * 1024;

/// Octets of a header that are looked at for the date of an imported message.
pub const IMPORT_HEADER_OCTETS_MAX: u64 = 256 * 1024;

/// Octets read at once from a file that is imported.
pub const IMPORT_READ_OCTETS: usize = 256 * 1024;

/// Messages that are imported or exported at once: with one fsync, and one progress line.
pub const IMPORT_GROUP_MESSAGES: usize = 64;

/// Octets that are imported or exported at once: with text and records beside them well below [`BATCH_OCTETS_MAX`].
pub const IMPORT_GROUP_OCTETS: u64 = 2 * 1024 * 1024;

/// Words, operators and parentheses of one query of an administrator.
pub const QUERY_TOKENS_MAX: usize = 500;

/// Messages that one search of an administrator shows.
pub const SEARCH_HITS_SHOWN_MAX: usize = 100_000;

/// Octets of a header that are shown; within one event of the control socket, escapes included.
pub const SHOWN_HEADER_OCTETS_MAX: u64 = 256 * 1024;

/// Parts of a message that are shown.
pub const SHOWN_PARTS_MAX: usize = 1000;
/// Seconds that all checks of a message's sender but DMARC may take together (RFC 7208 §4.6.4 asks for 20 at least).
pub const AUTHENTICATION_SECONDS: u64 = 20;

/// Seconds that DMARC, which builds on the others, may take after them.
pub const DMARC_SECONDS: u64 = 10;

/// Terms of an SPF evaluation that ask the DNS (RFC 7208 §4.6.4).
pub const SPF_TERMS_MAX: usize = 10;

/// Answers without records in an SPF evaluation (RFC 7208 §4.6.4).
pub const SPF_VOID_LOOKUPS_MAX: usize = 2;

/// Hosts of an `mx` mechanism, and names of a client, that are looked at (RFC 7208 §4.6.4).
pub const SPF_NAMES_MAX: usize = 10;

/// Octets of one SPF record (RFC 7208 §3.4 wants 450 or so); over TCP a name server may send 65,535.
pub const SPF_RECORD_OCTETS_MAX: usize = 8 * 1024;

/// Octets of text that SPF macros may expand to; a domain name has 253.
pub const SPF_EXPANSION_OCTETS_MAX: usize = 8 * 1024;

/// Octets of an SPF explanation that are kept: it is meant for one reply (RFC 5321 §4.5.3.1.5).
pub const SPF_EXPLANATION_OCTETS_MAX: usize = 480;

/// DKIM signatures of one message that are verified, from the top; the rest is counted. Honest mail has one to four.
pub const DKIM_SIGNATURES_MAX: usize = 10;

/// Characters of a signature's `d=` and `s=` that are kept for a report.
pub const DKIM_VALUE_CHARACTERS_MAX: usize = 255;

/// Sets of an ARC chain (RFC 8617 §4.2.1).
pub const ARC_SETS_MAX: usize = 50;

/// Tags of one tag list (RFC 6376 §3.2); signatures define some twenty.
pub const TAGS_MAX: usize = 64;

/// Names of fields that one signature covers, repeated ones counted. Each is looked for among all fields.
pub const SIGNED_NAMES_MAX: usize = 256;

/// Octets of a header whose signatures are verified.
pub const SIGNED_HEADER_OCTETS_MAX: usize = 512 * 1024;

/// Fields of a header whose signatures are verified.
pub const SIGNED_HEADER_FIELDS_MAX: usize = 2000;

/// Octets of a From field that an author is looked for in.
pub const FROM_OCTETS_MAX: usize = 64 * 1024;

/// Bits of an RSA key that a signature may be made with (RFC 8301 §3.2).
pub const RSA_KEY_BITS_MIN: usize = 1024;

/// See [`RSA_KEY_BITS_MIN`]; a larger key costs CPU time and proves no more.
pub const RSA_KEY_BITS_MAX: usize = 4096;

/// Keys of one message's signatures that are asked for at once.
pub const KEY_LOOKUPS_AT_ONCE: usize = 8;

/// Names that a DMARC policy is looked for under (RFC 9989 §4.10).
pub const DMARC_WALK_MAX: usize = 8;

/// Findings of one check that the doctor lists; the others are counted. People read them.
pub const DOCTOR_FINDINGS_MAX: usize = 100;

/// Octets of mends that the doctor writes at once; each is right by itself.
pub const DOCTOR_BATCH_OCTETS: usize = 1024 * 1024;

/// Numbers that an account whose counters are lost passes over: more than anybody gives out between two packs, and
/// little of 32 bits.
pub const DOCTOR_NUMBERS_SKIPPED: u64 = 1024 * 1024;

/// Octets under way in one direction of a simulated connection, as in a system's socket buffer.
pub const SIMULATED_WINDOW_OCTETS: usize = 64 * 1024;

/// Pieces that one write on a simulated connection is cut into at most; the rest travels in one. Single octets show as
/// much in hundreds as in hundreds of thousands.
pub const SIMULATED_PIECES_MAX: usize = 40;

/// Connections that wait to be accepted by a simulated listener.
pub const SIMULATED_BACKLOG: usize = 128;

/// Seconds after a change of accounts or names of mailboxes within which its spare copy is written.
pub const SPARE_SECONDS: u64 = 60;
