//! The client's side of SCRAM-SHA-256 (RFC 5802 §3), which also checks the server's proof.

use super::client::Client;
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use std::num::NonZeroU32;

/// Logs in and returns the last reply.
pub async fn log_in(client: &mut Client, login: &str, password: &str) -> String {
    let first = format!("n={login},r=fyko+d2lbbFgONRv9qkxdawL");
    let challenge = client.say(&format!("AUTH SCRAM-SHA-256 {}", BASE64.encode(format!("n,,{first}")))).await;
    let server_first = decode(&challenge);
    let attribute = |name: &str| {
        server_first
            .split(',')
            .find_map(|part| part.strip_prefix(name))
            .unwrap_or_else(|| panic!("no {name}: {server_first}"))
    };
    let salt = BASE64.decode(attribute("s=")).unwrap();
    let iterations: NonZeroU32 = attribute("i=").parse().unwrap();
    let mut salted = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, password.as_bytes(), &mut salted);

    let last = format!("c=biws,r={}", attribute("r="));
    let signed = format!("{first},{server_first},{last}");
    let client_key = sign(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let signature = sign(stored_key.as_ref(), signed.as_bytes());
    let proof: Vec<u8> =
        client_key.as_ref().iter().zip(signature.as_ref()).map(|(key, signature)| key ^ signature).collect();
    let answer = client.say(&BASE64.encode(format!("{last},p={}", BASE64.encode(proof)))).await;
    if !answer.starts_with("334 ") {
        return answer;
    }
    let server_key = sign(&salted, b"Server Key");
    let expected = format!("v={}", BASE64.encode(sign(server_key.as_ref(), signed.as_bytes())));
    assert_eq!(decode(&answer), expected, "the server's proof");
    client.say("").await
}

fn decode(challenge: &str) -> String {
    let text = challenge.strip_prefix("334 ").unwrap_or_else(|| panic!("no challenge: {challenge}"));
    String::from_utf8(BASE64.decode(text).unwrap()).unwrap()
}

fn sign(key: &[u8], message: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
}
