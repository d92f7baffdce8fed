//! The schema of the catalog, step by step.
//!
//! Never changes a step that was released. Always: all steps are done in one transaction that no other daemon shares; a
//! schema that this program does not know is left alone.

use sqlx::{AssertSqlSafe, Row as _};

use super::address::Address;
use super::database::{Catalog, broken};
use crate::clock;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Steps by name, from version 1 on. `{bytewise}` is how a database says that texts are ordered by their bytes.
const STEPS: &[(&str, &str)] = &[
    ("first", FIRST),
    ("means", MEANS),
    ("upgrades", UPGRADES),
    ("signatures", SIGNATURES),
];

/// Held while the steps are done: "sandbar" in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(32476578156142962)";

const FIRST: &str = "
CREATE TABLE tenants (
    name TEXT {bytewise} NOT NULL PRIMARY KEY,
    created BIGINT NOT NULL,
    -- The last revision that a pipeline of the tenant was given: no revision comes twice, even if a pipeline is
    -- deleted and made again.
    revisions BIGINT NOT NULL
);
CREATE TABLE tokens (
    id TEXT {bytewise} NOT NULL PRIMARY KEY,
    -- NULL: the platform's.
    tenant TEXT {bytewise} REFERENCES tenants (name) ON DELETE CASCADE,
    hash TEXT {bytewise} NOT NULL UNIQUE,
    role TEXT NOT NULL,
    note TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT
);
CREATE INDEX tokens_of_tenant ON tokens (tenant);
CREATE TABLE plugins (
    tenant TEXT {bytewise} NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    digest TEXT {bytewise} NOT NULL,
    bytes BIGINT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    pushed BIGINT NOT NULL,
    PRIMARY KEY (tenant, digest)
);
CREATE TABLE pipelines (
    -- No cascade: a tenant that has pipelines stays.
    tenant TEXT {bytewise} NOT NULL REFERENCES tenants (name),
    name TEXT {bytewise} NOT NULL,
    wanted TEXT NOT NULL,
    version BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE TABLE versions (
    tenant TEXT {bytewise} NOT NULL,
    pipeline TEXT {bytewise} NOT NULL,
    version BIGINT NOT NULL,
    file TEXT NOT NULL,
    -- A JSON object: operator to digest.
    plugins TEXT NOT NULL,
    author TEXT NOT NULL,
    applied BIGINT NOT NULL,
    PRIMARY KEY (tenant, pipeline, version),
    FOREIGN KEY (tenant, pipeline) REFERENCES pipelines (tenant, name) ON DELETE CASCADE
);
CREATE TABLE audit (
    number BIGINT NOT NULL PRIMARY KEY,
    moment BIGINT NOT NULL,
    -- No reference: what was done in a tenant outlives it.
    tenant TEXT {bytewise},
    who TEXT NOT NULL,
    verb TEXT NOT NULL,
    object TEXT NOT NULL,
    outcome TEXT NOT NULL,
    sender TEXT NOT NULL
);
CREATE INDEX audit_of_tenant ON audit (tenant, number);
-- One row: the last number of the audit log. Whoever writes an entry holds it, so that numbers have no gap and a reader
-- that goes on after one misses none.
CREATE TABLE audit_numbers (last BIGINT NOT NULL);
INSERT INTO audit_numbers VALUES (0);
";

const MEANS: &str = "
-- JSON lists of patterns; NULL: every topic.
ALTER TABLE tenants ADD COLUMN reads TEXT;
ALTER TABLE tenants ADD COLUMN writes TEXT;
-- A JSON object; NULL: none.
ALTER TABLE tenants ADD COLUMN quotas TEXT;
CREATE TABLE secrets (
    tenant TEXT {bytewise} NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    name TEXT {bytewise} NOT NULL,
    sealed TEXT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    author TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
);
-- One row, from when a daemon sealed first: what its key opens, and no other.
CREATE TABLE sealing (id BIGINT NOT NULL PRIMARY KEY, sealed TEXT NOT NULL);
CREATE TABLE clusters (
    tenant TEXT {bytewise} NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    name TEXT {bytewise} NOT NULL,
    brokers TEXT NOT NULL,
    -- A JSON object: property to text, or to an object with the name of a secret.
    properties TEXT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE TABLE usage (
    -- No reference: what a tenant used outlives it.
    tenant TEXT {bytewise} NOT NULL,
    pipeline TEXT {bytewise} NOT NULL,
    -- When the hour began, in milliseconds.
    hour BIGINT NOT NULL,
    cpu_ms BIGINT NOT NULL,
    records_in BIGINT NOT NULL,
    records_out BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    state_byte_seconds BIGINT NOT NULL,
    PRIMARY KEY (tenant, pipeline, hour)
);
CREATE INDEX usage_of_hour ON usage (hour);
";

const UPGRADES: &str = "
CREATE TABLE upgrades (
    tenant TEXT {bytewise} NOT NULL,
    pipeline TEXT {bytewise} NOT NULL,
    number BIGINT NOT NULL,
    -- 1: the daemon has something to see to.
    is_open BIGINT NOT NULL,
    -- A JSON object: how far it is, and how it came there.
    record TEXT NOT NULL,
    PRIMARY KEY (tenant, pipeline, number),
    FOREIGN KEY (tenant, pipeline) REFERENCES pipelines (tenant, name) ON DELETE CASCADE
);
";

const SIGNATURES: &str = "
-- 1: a plugin has to be signed by a key of the tenant.
ALTER TABLE tenants ADD COLUMN signatures_required BIGINT NOT NULL DEFAULT 0;
CREATE TABLE signing_keys (
    tenant TEXT {bytewise} NOT NULL REFERENCES tenants (name) ON DELETE CASCADE,
    id TEXT {bytewise} NOT NULL,
    -- The whole of it: an id is what whoever made a key says.
    public_key TEXT {bytewise} NOT NULL,
    note TEXT NOT NULL,
    created BIGINT NOT NULL,
    author TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
-- Those that were checked. One stays when its key goes, and counts again if that comes back.
CREATE TABLE plugin_signatures (
    tenant TEXT {bytewise} NOT NULL,
    digest TEXT {bytewise} NOT NULL,
    public_key TEXT {bytewise} NOT NULL,
    id TEXT {bytewise} NOT NULL,
    comment TEXT NOT NULL,
    taken BIGINT NOT NULL,
    PRIMARY KEY (tenant, digest, public_key),
    FOREIGN KEY (tenant, digest) REFERENCES plugins (tenant, digest) ON DELETE CASCADE
);
";

/// Does the steps that are still to be done.
pub(super) async fn bring_up_to_date(catalog: &Catalog) -> Result<()> {
    let what = &format!("failed to bring the catalog {} up to date", catalog.address());
    let mut transaction = catalog.begin(what).await?;
    let bytewise = match catalog.address() {
        Address::Sqlite(_) => "COLLATE BINARY",
        Address::Postgres(_) => {
            sqlx::raw_sql(LOCK)
                .execute(&mut *transaction)
                .await
                .map_err(broken(what))?;
            "COLLATE \"C\""
        }
    };
    let made = "CREATE TABLE IF NOT EXISTS schema_steps (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, \
                done BIGINT NOT NULL)";
    sqlx::query(made)
        .execute(&mut *transaction)
        .await
        .map_err(broken(what))?;
    let last = sqlx::query("SELECT version, name FROM schema_steps ORDER BY version DESC LIMIT 1")
        .fetch_optional(&mut *transaction)
        .await
        .map_err(broken(what))?;
    let (version, name) = match last {
        Some(row) => (
            row.try_get::<i64, _>(0).map_err(broken(what))?,
            row.try_get::<String, _>(1).map_err(broken(what))?,
        ),
        None => (0, String::new()),
    };
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(steps) = STEPS.get(done..) else {
        return Err(is_newer(catalog, version, &name));
    };
    for ((name, text), number) in steps.iter().zip(version + 1..) {
        sqlx::raw_sql(AssertSqlSafe(text.replace("{bytewise}", bytewise)))
            .execute(&mut *transaction)
            .await
            .map_err(broken(what))?;
        sqlx::query("INSERT INTO schema_steps (version, name, done) VALUES ($1, $2, $3)")
            .bind(number)
            .bind(*name)
            .bind(clock::now())
            .execute(&mut *transaction)
            .await
            .map_err(broken(what))?;
    }
    transaction.commit().await.map_err(broken(what))
}

fn is_newer(catalog: &Catalog, version: i64, name: &str) -> Problem {
    let (known, of) = (STEPS.len(), STEPS.last().map_or("", |(name, _)| name));
    Problem::new(
        ProblemKind::Conflict,
        format!("failed to open the catalog {}", catalog.address()),
        format!(
            "its schema is of version {version} ({name:?}), which a newer sandbar made: this one knows up to version \
             {known} ({of:?})"
        ),
    )
    .hint("serve with that newer sandbar, or name another catalog; nothing was changed")
}
