//! Builds the server from its configuration; starts, drains and stops it.
