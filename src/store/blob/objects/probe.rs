//! The probe: whether a place does what a store needs, before anything depends on it.
//!
//! A store needs: an object is created only where there is none, reads back whole and by range, is listed at once and
//! goes when it is deleted. Errors say what to do next.

use super::{Files, Objects, Upload, Written, parse};
use crate::store::StoreError;
use bytes::Bytes;
use object_store::{Error, PutPayload};

/// Where probes are made; nothing else is.
const FOLDER: &str = "probe";
const OCTETS: &[u8] = b"Postern looks whether this place does what a mail store needs.";

impl Objects {
    /// Tries every operation under a name that `number` makes, and takes away what it left.
    pub(in crate::store) async fn probe(&self, number: u64) -> Result<(), StoreError> {
        let name = format!("{FOLDER}/{number:016x}");
        let probed = self.try_all(&name).await;
        let cleared = self.clear_probes().await;
        probed.and(cleared).map_err(|error| match error {
            StoreError::Full => StoreError::Full,
            StoreError::Objects(what) => StoreError::Objects(format!("{}: {what}", self.place)),
            other => StoreError::Objects(format!("{}: {other}", self.place)),
        })
    }

    async fn try_all(&self, name: &str) -> Result<(), StoreError> {
        self.reach(name).await?;
        let written = self.put_if_absent(name, vec![Bytes::from_static(b"something else")]).await?;
        check(written == Written::Other, "replaces an object that was to be created only where there is none")?;
        check(self.get(name).await?.as_deref() == Some(OCTETS), "does not give back what it was given")?;
        check(self.get_range(name, 8..20).await?.as_deref() == OCTETS.get(8..20), "does not give back a part")?;
        let past = self.get_range(name, 8..OCTETS.len() as u64 + 1).await;
        check(matches!(past, Err(StoreError::Damaged(_))), "gives back more than it was given")?;
        let listed = self.list(FOLDER).await?;
        check(listed.contains(&(name.to_owned(), OCTETS.len() as u64)), "does not list what it was given")?;
        self.delete(name).await?;
        check(self.get(name).await?.is_none(), "keeps what was deleted")
    }

    /// The first request: what is wrong with the setting shows here.
    async fn reach(&self, name: &str) -> Result<(), StoreError> {
        let (path, payload) = (parse(name)?, PutPayload::from_static(OCTETS));
        let whole = Self { upload: Upload::Whole, ..self.clone() };
        let mut tried = self.tries.start();
        loop {
            match whole.create(&path, &payload).await {
                Ok(()) | Err(Error::AlreadyExists { .. }) => return Ok(()),
                Err(error) if tried.again(&error).await => {}
                Err(error) => return Err(self.explain(error)),
            }
        }
    }

    fn explain(&self, error: Error) -> StoreError {
        let advice = match (&error, &self.files) {
            (_, Files::Own(_)) => return super::from_object(error),
            (Error::NotFound { .. }, _) => "there is no such bucket; make it, or correct store.objects",
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _) => {
                "the service refuses our credentials; correct those in store.objects_options or in the environment"
            }
            (Error::NotImplemented { .. } | Error::NotSupported { .. }, _) => {
                "the service cannot create an object only where there is none; use one that can"
            }
            // Where a service's machines get their credentials from.
            (error, _) if error.to_string().contains("169.254.") => {
                "there are no credentials; set them in store.objects_options or in the environment"
            }
            (_, _) => "the service does not answer as it should; look at endpoint and region in store.objects_options",
        };
        StoreError::Objects(format!("{advice} ({error})"))
    }

    /// Removes probes, those included that a crash has left.
    async fn clear_probes(&self) -> Result<(), StoreError> {
        for (name, _) in self.list(FOLDER).await? {
            self.delete(&name).await?;
        }
        if let Files::Own(folder) = &self.files
            && let Ok(path) = folder.path_to_filesystem(&parse(FOLDER)?)
        {
            // It stays where another probe is under way.
            drop(std::fs::remove_dir(path));
        }
        Ok(())
    }
}

fn check(right: bool, fault: &str) -> Result<(), StoreError> {
    if right { Ok(()) } else { Err(StoreError::Objects(format!("the service {fault}; a store cannot use it"))) }
}
