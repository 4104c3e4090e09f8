//! Passwords: from standard input, or asked for twice.

use super::{arguments::PasswordSource, failure::Failed};
use crate::{admin::Secret, limits, mail::Address};
use std::io::{IsTerminal as _, Read as _, stdin};

/// The password for `address`. Never shown, and never taken from the arguments, which other users can see.
pub(super) fn read(source: &PasswordSource, address: &Address) -> Result<Secret, Failed> {
    let failed = |error: std::io::Error| Failed::Password(format!("cannot read the password: {error}"));
    if source.password_stdin {
        return from_standard_input().map_err(failed);
    }
    if !stdin().is_terminal() {
        return Err(Failed::Password("nobody to ask for the password; give it with --password-stdin".to_owned()));
    }
    let password = rpassword::prompt_password(format!("Password for {address}: ")).map_err(failed)?;
    if rpassword::prompt_password("Once more: ").map_err(failed)? != password {
        return Err(Failed::Password("the two passwords differ".to_owned()));
    }
    Ok(Secret(password))
}

/// Everything there is, without the line end that `echo` adds.
fn from_standard_input() -> std::io::Result<Secret> {
    let mut password = String::new();
    let bound = limits::PASSWORD_OCTETS_MAX as u64 + 2;
    stdin().take(bound).read_to_string(&mut password)?;
    let trimmed = password.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Secret(trimmed.unwrap_or(&password).to_owned()))
}
