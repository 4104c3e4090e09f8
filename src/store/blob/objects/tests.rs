//! What a place of objects promises, wherever it is.

#[path = "../../../../tests/support/s3.rs"]
#[allow(dead_code, unreachable_pub)]
mod s3;
mod suite;

use super::*;
use s3::S3;
use std::collections::BTreeMap;
use tempfile::TempDir;

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn fault(url: &str, options: &[(&str, &str)]) -> String {
    let opened = place::open_url(url, &settings(options));
    opened.err().unwrap_or_else(|| panic!("{url} was opened")).to_string()
}

#[test]
fn buckets_open_by_url_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "c2VjcmV0\n").unwrap();
    let secret = secret.to_str().unwrap();
    let s3 = [("region", "eu-central-1"), ("access_key_id", "postern"), ("secret_access_key_file", secret)];
    place::open_url("s3://mail/postern", &settings(&s3)).unwrap();
    let local = [("endpoint", "http://127.0.0.1:1"), ("allow_http", "true"), ("skip_signature", "true")];
    place::open_url("s3://mail", &settings(&local)).unwrap();
    let azure = [("account_name", "postern"), ("access_key_file", secret)];
    place::open_url("az://mail/postern", &settings(&azure)).unwrap();
    place::open_url("gs://mail/postern", &settings(&[("skip_signature", "true")])).unwrap();
    let folder = url::Url::from_directory_path(folder.path().join("other")).unwrap();
    place::open_url(folder.as_str(), &BTreeMap::new()).unwrap();
}

#[test]
fn what_cannot_be_opened_says_what_to_write() {
    assert!(fault("mail/postern", &[]).contains("write s3://BUCKET/PREFIX"));
    assert!(fault("ftp://mail/postern", &[]).contains("write s3://BUCKET/PREFIX"));
    assert!(fault("memory:/mail", &[]).contains("write s3://BUCKET/PREFIX"));
    assert!(fault("s3://mail", &[("regoin", "x")]).contains("no option `regoin`"));
    assert!(fault("s3://mail", &[("secret_access_key_file", "/nowhere/secret")]).contains("/nowhere/secret"));
    assert!(fault("s3://user:secret@mail/postern", &[]).contains("store.objects_options"));
}

#[test]
fn secrets_are_not_shown() {
    let at = ObjectsAt::from_settings("s3://mail", &settings(&[("secret_access_key", "hidden")]));
    assert_eq!(format!("{at:?}"), "Url(\"s3://mail\")");
    assert!(matches!(ObjectsAt::from_settings("", &BTreeMap::new()), ObjectsAt::Folder));
}

fn folder() -> (TempDir, Objects) {
    let folder = tempfile::tempdir().unwrap();
    let objects = Objects::open(&ObjectsAt::Folder, folder.path()).unwrap();
    (folder, objects)
}

fn memory(faults: ObjectFaults) -> (TempDir, Objects, MemoryObjects) {
    let (folder, memory) = (tempfile::tempdir().unwrap(), MemoryObjects::new());
    let objects = Objects::open(&ObjectsAt::Memory(memory.clone()), folder.path()).unwrap();
    memory.set_faults(faults);
    (folder, objects, memory)
}

/// Few enough faults that four tries are enough for what these seeds draw.
fn some_faults(seed: u64) -> ObjectFaults {
    ObjectFaults { seed, pause_millis_max: 1, refused: 50, lost_answers: 50, torn_reads: 100, torn_lists: 100 }
}

#[tokio::test]
async fn memory_does_what_a_store_needs() {
    let (_folder, objects, _) = memory(ObjectFaults::default());
    suite::run(&objects).await;
    let in_parts = Objects { upload: Upload::Parts, ..objects };
    suite::large(&in_parts).await;
}

#[tokio::test]
async fn a_folder_does_what_a_store_needs() {
    let (folder, objects) = folder();
    suite::run(&objects).await;
    let left = std::fs::read_dir(folder.path().join("blobs")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.contains(&"probe".into()), "{left:?}");
}

#[tokio::test]
async fn a_failing_place_does_what_a_store_needs() {
    for seed in 0..4 {
        let (_folder, objects, memory) = memory(some_faults(seed));
        suite::run(&objects).await;
        assert!(memory.faults_met() > 10, "{}", memory.faults_met());
        let in_parts = Objects { upload: Upload::Parts, ..objects };
        suite::large(&in_parts).await;
    }
}

#[tokio::test]
async fn a_failing_folder_does_what_a_store_needs() {
    let (_folder, objects) = folder();
    let plan = faulty::Plan::default();
    let store = Arc::new(faulty::Faulty::new(objects.store, plan.clone()));
    let tries = Tries::Several { pause: std::time::Duration::from_millis(1) };
    let objects = Objects { store, tries, ..objects };
    plan.set(some_faults(7));
    suite::run(&objects).await;
    assert!(plan.met() > 10);
}

/// What any service does can be looked at with `POSTERN_OBJECTS_URL` and the service's own variables.
#[tokio::test]
async fn a_service_of_ones_own_does_what_a_store_needs() {
    let Ok(url) = std::env::var("POSTERN_OBJECTS_URL") else {
        println!("skipped: POSTERN_OBJECTS_URL names no service");
        return;
    };
    let objects = place::open_url(&url, &BTreeMap::new()).unwrap();
    suite::run(&objects).await;
    suite::large(&objects).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_server_does_what_a_store_needs() {
    let Some(s3) = S3::start() else { return };
    let open = |url: &str, account: &str| place::open_url(url, &s3.options(account)).unwrap();
    let objects = open("s3://mail/postern", s3::ACCOUNT);
    suite::run(&objects).await;
    suite::large(&objects).await;
    // A prefix is a place of its own.
    let other = open("s3://mail/other", s3::ACCOUNT);
    assert_eq!(other.list("").await.unwrap(), []);
    objects.put("packs/00001/there", vec![Bytes::from_static(b"x")]).await.unwrap();
    assert_eq!(other.get("packs/00001/there").await.unwrap(), None);
    other.probe(1).await.unwrap();
    assert_eq!(other.list("").await.unwrap(), []);
    for (url, account, change, advice) in [
        ("s3://nowhere/postern", s3::ACCOUNT, None, "there is no such bucket; make it"),
        ("s3://mail/postern", "stranger", None, "refuses our credentials"),
        ("s3://mail/postern", s3::ACCOUNT, Some(("endpoint", "http://127.0.0.1:1")), "look at endpoint"),
    ] {
        let mut options = s3.options(account);
        options.extend(change.map(|(name, value): (&str, &str)| (name.to_owned(), value.to_owned())));
        let told = place::open_url(url, &options).unwrap().probe(1).await.unwrap_err().to_string();
        assert!(told.contains(url) && told.contains(advice), "{told}");
    }
}

#[tokio::test]
async fn a_place_that_fails_for_good_is_told_of_at_the_start() {
    let (_folder, objects, memory) = memory(ObjectFaults { refused: 1000, ..ObjectFaults::default() });
    let told = objects.probe(1).await.unwrap_err().to_string();
    assert!(told.contains("does not answer as it should"), "{told}");
    memory.set_faults(ObjectFaults::default());
    objects.probe(1).await.unwrap();
}

#[tokio::test]
async fn remote_objects_have_local_copies() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryObjects::new();
    let objects = Objects::open(&ObjectsAt::Memory(memory.clone()), folder.path()).unwrap();
    objects.put("index/7/a", vec![Bytes::from_static(b"bundle")]).await.unwrap();
    let copy = objects.local_file("index/7/a").unwrap();
    assert_eq!(copy, None, "nobody has asked for it");
    objects.fetch_copy("index/7/a").await.unwrap();
    let copy = objects.local_file("index/7/a").unwrap().unwrap();
    assert_eq!(std::fs::read(&copy).unwrap(), b"bundle");
    objects.fetch_copy("index/7/b").await.unwrap();
    assert_eq!(objects.local_file("index/7/b").unwrap(), None, "there is no such object");
    std::fs::write(&copy, "damage").unwrap();
    assert!(objects.forget_copy("index/7/a") && !objects.forget_copy("index/7/a"));
    objects.fetch_copy("index/7/a").await.unwrap();
    assert_eq!(std::fs::read(&copy).unwrap(), b"bundle");
    objects.delete("index/7/a").await.unwrap();
    assert!(!copy.exists());
    objects.put_with_copy("index/7/c", Bytes::from_static(b"other")).await.unwrap();
    let copy = objects.local_file("index/7/c").unwrap().unwrap();
    assert_eq!(std::fs::read(copy).unwrap(), b"other");
}
