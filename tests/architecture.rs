//! Import directions and package owners.
