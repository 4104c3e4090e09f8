//! The whole server on a simulated clock and network, with a disk and an object store that fail as the seed says.
#![allow(dead_code)]

mod imap;
mod letter;
mod log;
mod random;
mod smtp;
mod world;

use letter::Letter;
use random::Random;
use world::{SENDER, Server, World, simulate};

/// One letter in over SMTP, out over IMAP.
async fn exchange(world: World, seed: u64) -> String {
    let server = Server::start(&world).await.unwrap();
    let mut random = Random::new(seed, 2);
    for token in 0..5 {
        let letter = Letter::draw(token, &mut random);
        let mut smtp = smtp::Smtp::open(&world, "sender", SENDER).await.unwrap();
        let reply = smtp.transaction(&[world::address(0), world::address(1)], &letter.raw).await.unwrap();
        assert_eq!(reply.0, 250, "{}", reply.1);
        smtp.quit().await.unwrap();
        let mut imap = imap::Imap::open(&world, "reader", 0).await.unwrap();
        assert_eq!(imap.ok("SELECT INBOX").await.unwrap().exists(), Some(token + 1));
        let answer = imap.ok(&format!("FETCH {} BODY.PEEK[]", token + 1)).await.unwrap();
        let body = &answer.untagged[0].literals[0];
        assert!(body.ends_with(&letter.raw));
        assert_eq!(letter::token_of(&letter.raw), Some(token));
        imap.ok("LOGOUT").await.ok();
    }
    assert!(server.stop().await);
    world.log.hash()
}

#[test]
fn a_run_follows_from_its_seed() {
    for seed in 0..5 {
        let run = || simulate(seed, async |world, _| exchange(world, seed).await);
        let started = std::time::Instant::now();
        let first = run();
        println!("{:?}", started.elapsed());
        assert_eq!(first, run());
    }
}
