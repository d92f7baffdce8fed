//! An empty database, and a connection beside the catalog's.

use sandbar_control::{Catalog, Digest, Name, PushedPlugin, SealingKey, SecretText};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, AssertSqlSafe};
use tempfile::TempDir;

/// Where a case has its catalog.
pub(crate) struct Place {
    url: String,
    folder: Option<TempDir>,
}

impl Place {
    /// A file that is not there yet, with signs in its path that mean something in an address.
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}/the #1 %41 catalog.db", folder.path().display());
        Self {
            url,
            folder: Some(folder),
        }
    }

    /// A database of a server.
    pub(crate) fn postgres(url: String) -> Self {
        Self { url, folder: None }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Every file of it, if it is files.
    pub(crate) fn files(&self) -> Vec<std::path::PathBuf> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let files = std::fs::read_dir(folder.path()).unwrap();
        files.map(|file| file.unwrap().path()).collect()
    }

    pub(crate) async fn open(&self) -> Catalog {
        Catalog::open(&self.url).await.unwrap()
    }

    /// With the key that its secrets are sealed with.
    pub(crate) async fn open_sealed(&self) -> Catalog {
        self.open().await.sealed_with(SealingKey::new([7; 32])).await.unwrap()
    }

    /// A connection that another program could have.
    pub(crate) async fn beside(&self) -> AnyPool {
        sqlx::any::install_default_drivers();
        let url = self.url.replace('%', "%25").replace(' ', "%20").replace('#', "%23");
        let url = if self.folder.is_some() { url } else { self.url.clone() };
        AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap()
    }

    /// The texts that this gives beside the catalog.
    pub(crate) async fn texts(&self, query: &'static str) -> Vec<String> {
        let pool = self.beside().await;
        let texts = sqlx::query_scalar(query).fetch_all(&pool).await.unwrap();
        pool.close().await;
        texts
    }

    /// Does this beside the catalog.
    pub(crate) async fn meddle(&self, text: &str) {
        let pool = self.beside().await;
        sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
            .execute(&pool)
            .await
            .unwrap();
        pool.close().await;
    }
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A catalog with these tenants.
pub(crate) async fn with_tenants(place: &Place, tenants: &[&str]) -> Catalog {
    let catalog = place.open().await;
    for tenant in tenants {
        assert!(catalog.create_tenant(&name(tenant)).await.unwrap());
    }
    catalog
}

/// The same with the key for secrets.
pub(crate) async fn sealed(place: &Place, tenants: &[&str]) -> Catalog {
    with_tenants(place, tenants).await.close().await;
    place.open_sealed().await
}

pub(crate) fn text(text: &str) -> SecretText {
    SecretText::new(text.to_owned()).unwrap()
}

/// A plugin whose digest is 32 times this byte.
pub(crate) fn plugin(byte: u8) -> PushedPlugin {
    PushedPlugin {
        digest: Digest::of_hash(&[byte; 32]),
        bytes: 7,
        name: format!("plugin-{byte}"),
        version: "1.0".to_owned(),
        pushed: 1_700_000_000_000,
        signatures: Vec::new(),
    }
}
