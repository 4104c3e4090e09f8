//! The SMTP session as a machine without I/O (RFC 5321): octets in, events and replies out.
