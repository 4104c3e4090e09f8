//! What a place of objects promises, wherever it is.

use super::*;
use tempfile::TempDir;

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn fault(url: &str, options: &[(&str, &str)]) -> String {
    let opened = Objects::open_url(url, &settings(options));
    opened.err().unwrap_or_else(|| panic!("{url} was opened")).to_string()
}

#[test]
fn buckets_open_by_url_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "c2VjcmV0\n").unwrap();
    let secret = secret.to_str().unwrap();
    let s3 = [("region", "eu-central-1"), ("access_key_id", "postern"), ("secret_access_key_file", secret)];
    Objects::open_url("s3://mail/postern", &settings(&s3)).unwrap();
    let local = [("endpoint", "http://127.0.0.1:1"), ("allow_http", "true"), ("skip_signature", "true")];
    Objects::open_url("s3://mail", &settings(&local)).unwrap();
    let azure = [("account_name", "postern"), ("access_key_file", secret)];
    Objects::open_url("az://mail/postern", &settings(&azure)).unwrap();
    Objects::open_url("gs://mail/postern", &settings(&[("skip_signature", "true")])).unwrap();
    let folder = url::Url::from_directory_path(folder.path().join("other")).unwrap();
    Objects::open_url(folder.as_str(), &BTreeMap::new()).unwrap();
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

#[tokio::test]
async fn a_put_never_replaces_other_octets() {
    let memory = tempfile::tempdir().unwrap();
    let in_memory = Objects::open(&ObjectsAt::Memory(MemoryObjects::new()), memory.path()).unwrap();
    let (_folder, in_folder) = folder();
    for objects in [in_memory, in_folder] {
        let put = |octets: &'static [u8]| objects.put_if_absent("packs/00001/a", vec![Bytes::from_static(octets)]);
        assert_eq!(put(b"one").await.unwrap(), Written::New);
        assert_eq!(put(b"one").await.unwrap(), Written::Same);
        assert_eq!(put(b"two").await.unwrap(), Written::Other);
        assert!(objects.put("packs/00001/a", vec![Bytes::from_static(b"three")]).await.is_err());
        assert_eq!(objects.get("packs/00001/a").await.unwrap().unwrap(), "one");
    }
}

#[tokio::test]
async fn remote_objects_have_local_copies() {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryObjects::new();
    let objects = Objects::open(&ObjectsAt::Memory(memory.clone()), folder.path()).unwrap();
    objects.put("index/7/a", vec![Bytes::from_static(b"bundle")]).await.unwrap();
    let there = objects.clone();
    let file = |name: &'static str| {
        let there = there.clone();
        tokio::task::spawn_blocking(move || there.local_file(name).unwrap())
    };
    let copy = file("index/7/a").await.unwrap().unwrap();
    assert_eq!(std::fs::read(&copy).unwrap(), b"bundle");
    assert_eq!(file("index/7/b").await.unwrap(), None);
    std::fs::write(&copy, "damage").unwrap();
    assert!(objects.forget_copy("index/7/a"));
    let copy = file("index/7/a").await.unwrap().unwrap();
    assert_eq!(std::fs::read(&copy).unwrap(), b"bundle");
    objects.delete("index/7/a").await.unwrap();
    assert!(!copy.exists());
    assert_eq!(file("index/7/a").await.unwrap(), None);
}
