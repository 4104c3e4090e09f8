//! The certificate that a fresh installation starts with.

use super::TlsError;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// Writes a self-signed ECDSA P-256 certificate for these names and addresses, and its key (mode
/// 0600), unless both files exist. A key without a certificate is kept and gets one; a certificate without a key is
/// an error, since replacing it would discard what an administrator put there.
pub fn ensure_self_signed(certificate: &Path, key: &Path, names: &[String]) -> Result<(), TlsError> {
    if certificate.exists() {
        return if key.exists() {
            Ok(())
        } else {
            Err(TlsError::Certificate(key.to_owned(), "missing, though its certificate exists".into()))
        };
    }
    // The key goes first: a crash in between leaves a key, which the next start finishes.
    let key_pair = existing_or_new_key(key)?;
    let pem = self_signed(&key_pair, names).map_err(|error| fault(certificate, &error))?;
    write_whole(certificate, pem.as_bytes(), 0o644)
}

fn existing_or_new_key(file: &Path) -> Result<KeyPair, TlsError> {
    if file.exists() {
        let pem = fs::read_to_string(file).map_err(|error| TlsError::Io(file.to_owned(), error))?;
        return KeyPair::from_pem(&pem).map_err(|error| fault(file, &error));
    }
    let key_pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| fault(file, &error))?;
    write_whole(file, key_pair.serialize_pem().as_bytes(), 0o600)?;
    Ok(key_pair)
}

fn self_signed(key_pair: &KeyPair, names: &[String]) -> Result<String, rcgen::Error> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.not_before = date_time_ymd(2024, 1, 1);
    parameters.not_after = date_time_ymd(2049, 12, 31);
    if let Some(name) = names.first() {
        parameters.distinguished_name.push(DnType::CommonName, name.as_str());
    }
    Ok(parameters.self_signed(key_pair)?.pem())
}

fn fault(file: &Path, error: &rcgen::Error) -> TlsError {
    TlsError::Certificate(file.to_owned(), error.to_string())
}

/// Writes a file that a reader finds whole or not at all.
fn write_whole(file: &Path, octets: &[u8], mode: u32) -> Result<(), TlsError> {
    let write = || -> io::Result<()> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        let unfinished = PathBuf::from(format!("{}.new", file.display()));
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut output = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished)?;
        output.write_all(octets)?;
        output.sync_all()?;
        fs::rename(&unfinished, file)
    };
    write().map_err(|error| TlsError::Io(file.to_owned(), error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn names() -> Vec<String> {
        ["mx.example.org", "localhost", "127.0.0.1"].map(String::from).to_vec()
    }

    #[test]
    fn it_is_written_once_and_its_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("tls/cert.pem"), folder.path().join("tls/key.pem"));
        ensure_self_signed(&certificate, &key, &names()).unwrap();
        let written = (fs::read(&certificate).unwrap(), fs::read(&key).unwrap());
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);

        ensure_self_signed(&certificate, &key, &names()).unwrap();
        assert_eq!((fs::read(&certificate).unwrap(), fs::read(&key).unwrap()), written);
    }

    #[test]
    fn a_key_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        ensure_self_signed(&certificate, &key, &names()).unwrap();
        let kept = fs::read(&key).unwrap();

        fs::remove_file(&certificate).unwrap();
        ensure_self_signed(&certificate, &key, &names()).unwrap();
        assert_eq!(fs::read(&key).unwrap(), kept);

        fs::remove_file(&key).unwrap();
        assert!(
            matches!(ensure_self_signed(&certificate, &key, &names()), Err(TlsError::Certificate(file, _)) if file == key)
        );
    }
}
