//! The catalogue key: signs the index of releases, and locks and the publishers list while no operator does.
//!
//! It lies beside the authority's keys and is kept like them: not in the store, and so not in a backup of it.

use std::{fmt, fs, path::Path, sync::Arc};

use wherry_trust::{
    CryptoUnavailable,
    keys::{PublicKey, SigningKey},
};

use super::{CaError, files};

const FILE: &str = "catalogue.key";

/// The key, shared by whoever signs. Shows its public half only.
#[derive(Clone)]
pub struct CatalogueKey(Arc<SigningKey>);

impl CatalogueKey {
    /// Reads the key from the authority's folder, or makes it there.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds no key.
    pub fn open(dir: &Path) -> Result<Self, CaError> {
        let path = dir.join(FILE);
        if !path.exists() {
            let made = SigningKey::generate().and_then(|key| key.to_pem());
            files::replace(dir, FILE, &made.map_err(|_| CaError::Mismatch(FILE))?)?;
        }
        let text = fs::read_to_string(&path);
        let text = text.map_err(|error| CaError::File { path: path.display().to_string(), error })?;
        let key = SigningKey::from_pem(&text).map_err(|_| CaError::Mismatch(FILE))?;
        Ok(Self(Arc::new(key)))
    }

    /// A key that is kept nowhere.
    ///
    /// # Errors
    /// If the provider fails.
    pub fn generate() -> Result<Self, CryptoUnavailable> {
        SigningKey::generate().map(|key| Self(Arc::new(key)))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }

    pub(crate) fn signing(&self) -> &SigningKey {
        &self.0
    }
}

impl fmt::Debug for CatalogueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.public(), f)
    }
}
