//! The place of objects: what the setting says, and how it is opened.

use super::{
    Files, MemoryObjects, Objects, Place, Upload,
    copies::Copies,
    retry::{Tries, from_io, from_object},
};
use crate::{limits, store::StoreError};
use object_store::{
    ClientConfigKey, ObjectStore, ObjectStoreScheme, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    local::LocalFileSystem,
    path::Path as ObjectPath,
    prefix::PrefixStore,
};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};
use url::Url;

/// Where the store's objects are.
#[derive(Clone, Default)]
pub enum ObjectsAt {
    /// In the folder `blobs` beside the metadata.
    #[default]
    Folder,
    /// In a bucket, or another folder.
    Url {
        /// `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix` or `file:///folder`.
        url: String,
        /// The backend's options, such as `endpoint`; those that are left out come from the environment. An option with
        /// `_file` behind its name names a file that holds the value.
        options: BTreeMap<String, String>,
    },
    /// In memory, for tests and simulations.
    Memory(MemoryObjects),
}

impl ObjectsAt {
    /// What the settings `store.objects` and `store.objects_options` mean; an empty URL is the folder.
    pub fn from_settings(url: &str, options: &BTreeMap<String, String>) -> Self {
        match url {
            "" => Self::Folder,
            url => Self::Url { url: url.to_owned(), options: options.clone() },
        }
    }
}

impl fmt::Debug for ObjectsAt {
    /// Without the options: there are secrets among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder => f.write_str("Folder"),
            Self::Url { url, .. } => write!(f, "Url({url:?})"),
            Self::Memory(memory) => memory.fmt(f),
        }
    }
}

impl Objects {
    /// Opens the place that a store in `folder` has its objects in, or makes it; removes what a crash left half
    /// written. The caller holds the store's lock, so no one else is writing.
    pub(in crate::store) fn open(at: &ObjectsAt, folder: &Path) -> Result<Self, StoreError> {
        let opened = match at {
            ObjectsAt::Folder => {
                return open_folder(&folder.join("blobs"), Place::Own("the folder beside the metadata"));
            }
            ObjectsAt::Url { url, options } => open_url(url, options)?,
            ObjectsAt::Memory(memory) => open_memory(memory),
        };
        match opened.files {
            Files::None => {
                let copies = Copies::open(folder.join("copies"), limits::OBJECT_COPIES_OCTETS_MAX)?;
                Ok(Self { files: Files::Copied(Arc::new(copies)), ..opened })
            }
            Files::Own(_) | Files::Copied(_) => Ok(opened),
        }
    }
}

/// Opens the folder, or makes it.
fn open_folder(folder: &Path, place: Place) -> Result<Objects, StoreError> {
    let opened = (|| {
        fs::create_dir_all(folder)?;
        if let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
        remove_unfinished(folder)
    })();
    opened.map_err(|error| from_io(&error))?;
    let store = Arc::new(LocalFileSystem::new_with_prefix(folder).map_err(from_object)?.with_fsync(true));
    let files = Files::Own(Arc::clone(&store));
    Ok(Objects { store, place, tries: Tries::One, upload: Upload::Whole, files })
}

/// Removes temporary files: the local store names them `NAME#N`, which no object is called.
fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_unfinished(&path)?;
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().contains('#')) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn open_memory(memory: &MemoryObjects) -> Objects {
    // It is busy by plan only, and nobody waits for a machine to come back.
    let tries = Tries::Several { pause: Duration::from_millis(1) };
    let place = Place::Own("memory");
    Objects { store: memory.store(), place, tries, upload: Upload::Whole, files: Files::None }
}

fn open_remote(store: Arc<dyn ObjectStore>, place: Place) -> Objects {
    let tries = Tries::Several { pause: Duration::from_millis(limits::OBJECT_PAUSE_MILLIS) };
    Objects { store, place, tries, upload: Upload::Parts, files: Files::None }
}

/// Opens what a URL names. Nothing is asked of it yet.
pub(super) fn open_url(url: &str, options: &BTreeMap<String, String>) -> Result<Objects, StoreError> {
    let wrong = |what: &str| StoreError::Objects(format!("`{url}` {what}"));
    let parsed = Url::parse(url).map_err(|error| wrong(&format!("is no URL ({error}); {FORMS}")))?;
    if parsed.password().is_some() || parsed.query().is_some() {
        return Err(wrong("has more than bucket and prefix: credentials belong into store.objects_options"));
    }
    let place = Place::Elsewhere(url.into());
    let (scheme, prefix) =
        ObjectStoreScheme::parse(&parsed).map_err(|_| wrong(&format!("is not supported; {FORMS}")))?;
    let opened = match scheme {
        ObjectStoreScheme::Local => {
            let folder = parsed.to_file_path().map_err(|()| wrong("names no folder of this machine"))?;
            return open_folder(&folder, place).map_err(|error| wrong(&format!("cannot be used: {error}")));
        }
        ObjectStoreScheme::AmazonS3 => build(AmazonS3Builder::from_env(), &parsed, options),
        ObjectStoreScheme::GoogleCloudStorage => build(GoogleCloudStorageBuilder::from_env(), &parsed, options),
        ObjectStoreScheme::MicrosoftAzure => build(MicrosoftAzureBuilder::from_env(), &parsed, options),
        _ => return Err(wrong(&format!("is not supported; {FORMS}"))),
    };
    let store = opened.map_err(|what| wrong(&format!("cannot be used: {what}")))?;
    Ok(open_remote(below(store, prefix), place))
}

/// What may stand in the setting.
const FORMS: &str = "write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///FOLDER";

fn below(store: Arc<dyn ObjectStore>, prefix: ObjectPath) -> Arc<dyn ObjectStore> {
    if prefix.as_ref().is_empty() { store } else { Arc::new(PrefixStore::new(store, prefix)) }
}

/// A backend's builder, as far as we use it.
trait Builder: Sized {
    type Key: FromStr;

    fn client_key(key: ClientConfigKey) -> Self::Key;
    fn set(self, key: Self::Key, value: String) -> Self;
    fn finish(self, url: &Url, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, object_store::Error>;
}

/// Options over what the environment has set; the URL over both.
fn build<B: Builder>(
    builder: B,
    url: &Url,
    options: &BTreeMap<String, String>,
) -> Result<Arc<dyn ObjectStore>, String> {
    // The bound of a request is ours and goes by its octets: see `Tries::within`.
    let hours = format!("{} seconds", limits::OBJECT_CLIENT_SECONDS);
    let connect = format!("{} seconds", limits::OBJECT_CONNECT_SECONDS);
    let mut builder = builder
        .set(B::client_key(ClientConfigKey::Timeout), hours)
        .set(B::client_key(ClientConfigKey::ConnectTimeout), connect);
    for (name, value) in options {
        let (key, value) = option::<B>(name, value)?;
        builder = builder.set(key, value);
    }
    let retry = RetryConfig {
        max_retries: limits::OBJECT_CLIENT_RETRIES_MAX,
        retry_timeout: Duration::from_secs(limits::OBJECT_TRY_SECONDS),
        ..RetryConfig::default()
    };
    builder.finish(url, retry).map_err(|error| error.to_string())
}

/// An option's key, and its value or what is in the file that it names.
fn option<B: Builder>(name: &str, value: &str) -> Result<(B::Key, String), String> {
    let name = name.to_ascii_lowercase();
    if let Ok(key) = name.parse() {
        return Ok((key, value.to_owned()));
    }
    let unknown = || format!("there is no option `{name}` for it in store.objects_options");
    let key = name.strip_suffix("_file").and_then(|name| name.parse().ok()).ok_or_else(unknown)?;
    let file = PathBuf::from(value);
    let text = fs::read_to_string(&file).map_err(|error| format!("{name}: {}: {error}", file.display()))?;
    Ok((key, text.trim().to_owned()))
}

impl Builder for AmazonS3Builder {
    type Key = AmazonS3ConfigKey;

    fn client_key(key: ClientConfigKey) -> Self::Key {
        AmazonS3ConfigKey::Client(key)
    }

    fn set(self, key: Self::Key, value: String) -> Self {
        self.with_config(key, value)
    }

    fn finish(self, url: &Url, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        Ok(Arc::new(self.with_url(url.as_str()).with_retry(retry).build()?))
    }
}

impl Builder for GoogleCloudStorageBuilder {
    type Key = GoogleConfigKey;

    fn client_key(key: ClientConfigKey) -> Self::Key {
        GoogleConfigKey::Client(key)
    }

    fn set(self, key: Self::Key, value: String) -> Self {
        self.with_config(key, value)
    }

    fn finish(self, url: &Url, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        Ok(Arc::new(self.with_url(url.as_str()).with_retry(retry).build()?))
    }
}

impl Builder for MicrosoftAzureBuilder {
    type Key = AzureConfigKey;

    fn client_key(key: ClientConfigKey) -> Self::Key {
        AzureConfigKey::Client(key)
    }

    fn set(self, key: Self::Key, value: String) -> Self {
        self.with_config(key, value)
    }

    fn finish(self, url: &Url, retry: RetryConfig) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
        Ok(Arc::new(self.with_url(url.as_str()).with_retry(retry).build()?))
    }
}
