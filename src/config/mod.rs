//! config.toml into checked values.
