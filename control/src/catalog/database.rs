//! The catalog's database: opened, its transactions begun, its errors told.
//!
//! Never changes a row itself. Always: a transaction of SQLite takes the right to write as it begins, so that it waits
//! for others there and not halfway; one that changes something of a tenant holds the tenant's row until it ends.

use std::fmt;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Transaction};

use super::address::Address;
use super::schema;
use crate::means::SealingKey;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// How long a statement waits for another process that writes to the file.
const BUSY_PRAGMA: &str = "PRAGMA busy_timeout = 10000";
/// How long whoever asks waits for a connection that is free.
const ACQUIRE: Duration = Duration::from_secs(10);
/// Connections, at most. SQLite writes one at a time anyway: more of them would only wait for each other.
const CONNECTIONS: u32 = 4;

/// What is wanted, of whom, by whom; cheap to clone. Its `Debug` shows no password.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
    /// What secrets are sealed with; not there in a catalog that was opened for something else.
    key: Option<SealingKey>,
}

struct Inner {
    pool: AnyPool,
    address: Address,
}

impl Catalog {
    /// Opens the catalog at `sqlite:PATH` (the file is made if it is missing, for this user alone) or at
    /// `postgres://…`, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// `Invalid` if the address is none; `Conflict` if the schema is of a newer program; `Unavailable` if the server
    /// cannot be reached; `Failed` if the file cannot be opened or is no database.
    pub async fn open(url: &str) -> Result<Self> {
        sqlx::any::install_default_drivers();
        let address = Address::parse(url)?;
        let what = || format!("failed to open the catalog {address}");
        if let Some(path) = address.file() {
            make_file(path).map_err(|error| Problem::new(ProblemKind::Failed, what(), error))?;
        }
        let options: AnyConnectOptions = address.of_driver().parse().map_err(broken(what()))?;
        let is_file = address.file().is_some();
        try_once(&options, is_file, &what()).await?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if is_file {
                        connection.execute(BUSY_PRAGMA).await?;
                        connection.execute("PRAGMA foreign_keys = ON").await?;
                        connection.execute("PRAGMA synchronous = FULL").await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        let catalog = Self {
            inner: Arc::new(Inner { pool, address }),
            key: None,
        };
        schema::bring_up_to_date(&catalog).await?;
        Ok(catalog)
    }

    /// Ends its connections, after what they are at.
    pub async fn close(&self) {
        self.inner.pool.close().await;
    }

    /// The same with a key for its secrets.
    pub(super) fn with_key(self, key: SealingKey) -> Self {
        Self { key: Some(key), ..self }
    }

    pub(super) fn key(&self) -> Option<&SealingKey> {
        self.key.as_ref()
    }

    pub(super) fn pool(&self) -> &AnyPool {
        &self.inner.pool
    }

    pub(super) fn address(&self) -> &Address {
        &self.inner.address
    }

    /// A transaction, which is undone if it is dropped.
    pub(super) async fn begin(&self, what: &str) -> Result<Transaction<'static, Any>> {
        let begin = match self.inner.address {
            Address::Sqlite(_) => "BEGIN IMMEDIATE",
            Address::Postgres(_) => "BEGIN",
        };
        self.inner.pool.begin_with(begin).await.map_err(broken(what))
    }

    /// A transaction that holds the tenant's row: no other changes something of this tenant until it ends. `None`: the
    /// tenant is not there.
    pub(super) async fn begin_in(&self, tenant: &Name, what: &str) -> Result<Option<Transaction<'static, Any>>> {
        let mut transaction = self.begin(what).await?;
        let held = sqlx::query("UPDATE tenants SET revisions = revisions WHERE name = $1")
            .bind(tenant.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(broken(what))?;
        Ok((held.rows_affected() == 1).then_some(transaction))
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Catalog({})", self.inner.address)
    }
}

/// Connects by itself, because the pool tries again and again and then does not say why it could not. A file is told to
/// keep a write-ahead log, so that readers do not wait for the writer, nor it for them.
async fn try_once(options: &AnyConnectOptions, is_file: bool, what: &str) -> Result<()> {
    let connected = tokio::time::timeout(ACQUIRE, AnyConnection::connect_with(options)).await;
    let Ok(connected) = connected else {
        let why = format!("it did not answer within {} s", ACQUIRE.as_secs());
        return Err(Problem::new(ProblemKind::Unavailable, what, why).hint("is the address right?"));
    };
    let mut connection = connected.map_err(broken(what))?;
    if is_file {
        connection.execute(BUSY_PRAGMA).await.map_err(broken(what))?;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode = WAL")
            .fetch_one(&mut connection)
            .await
            .map_err(broken(what))?;
        if mode != "wal" {
            let why = format!("SQLite keeps no write-ahead log there: its journal stays {mode:?}");
            return Err(Problem::new(ProblemKind::Failed, what, why).hint("put the catalog onto a local disk"));
        }
    }
    connection.close().await.map_err(broken(what))
}

/// The file with rights for this user alone; SQLite gives those of its log the same.
fn make_file(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path).map(|_| ())
}

/// The problem of an error of the database while this was done.
pub(super) fn broken(what: impl Into<String>) -> impl FnOnce(sqlx::Error) -> Problem {
    let what = what.into();
    move |error| {
        let is_away = match &error {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_) | sqlx::Error::Tls(_) => true,
            sqlx::Error::Database(error) => error.code().is_some_and(|code| is_of_the_moment(&code)),
            _ => false,
        };
        match is_away {
            true => Problem::new(ProblemKind::Unavailable, what, error)
                .hint("the database of the catalog does not answer: try again, and look at it if it stays so"),
            false => Problem::new(ProblemKind::Failed, what, error),
        }
    }
}

/// Whether this error of a database can be gone at the next try: SQLite's busy (5) and locked (6), which may have more
/// in the upper bits; PostgreSQL's classes for connections, resources, and a server that starts or ends.
fn is_of_the_moment(code: &str) -> bool {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6),
        _ => ["08", "53", "57P"].iter().any(|class| code.starts_with(class)) || code == "40P01",
    }
}

/// Whether a statement failed because what it refers to is not there, or is still referred to.
pub(super) fn is_of_a_reference(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_foreign_key_violation())
}
