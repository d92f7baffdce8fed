//! The audit log: who did what, in the order in which it was noted.
//!
//! Never changes or deletes an entry, and never refuses one for its texts: it shortens them. Always: numbers grow by
//! one, and an entry that a reader sees has all before it.

use sqlx::any::AnyRow;
use sqlx::{Any, Transaction};

use super::database::{Catalog, broken};
use super::rows::{limit, value, word_if_any};
use crate::clock;
use crate::model::AuditEntry;
use crate::model::names::Name;
use crate::model::problem::Result;

/// Characters of each text of an entry, at most.
const TEXT_CHARS: usize = 500;

impl Catalog {
    /// Notes that `who` (the id of a token) asked at `at` (milliseconds since 1970) for `verb` of `object` from the
    /// address `from`, with this result. Texts are cut after 500 characters, and a NUL in them is shown as `\0`.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    #[expect(
        clippy::too_many_arguments,
        reason = "an entry without its number, which it is given here"
    )]
    pub async fn note(
        &self,
        at: i64,
        tenant: Option<&Name>,
        who: &str,
        verb: &str,
        object: &str,
        result: &str,
        from: &str,
    ) -> Result<()> {
        let what = "failed to write to the audit log";
        let mut transaction = self.begin(what).await?;
        let texts = [who, verb, object, result, from];
        add(&mut transaction, at, tenant, texts, what).await?;
        transaction.commit().await.map_err(broken(what))
    }

    /// At most `most` entries after this number, in order: those in a tenant, or (`None`) all of them.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Failed` of the database.
    pub async fn audit(&self, tenant: Option<&Name>, after: i64, most: u32) -> Result<Vec<AuditEntry>> {
        let rows = match tenant {
            Some(tenant) => {
                let text = "SELECT number, moment, tenant, who, verb, object, outcome, sender FROM audit \
                            WHERE tenant = $3 AND number > $1 ORDER BY number LIMIT $2";
                sqlx::query(text).bind(after).bind(limit(most)).bind(tenant.as_str())
            }
            None => {
                let text = "SELECT number, moment, tenant, who, verb, object, outcome, sender FROM audit \
                            WHERE number > $1 ORDER BY number LIMIT $2";
                sqlx::query(text).bind(after).bind(limit(most))
            }
        };
        let rows = rows
            .fetch_all(self.pool())
            .await
            .map_err(broken("failed to read the audit log"))?;
        rows.iter().map(entry).collect()
    }
}

/// Notes, as part of what it is about, that `who` did `verb` to `object`.
pub(super) async fn note_in(
    transaction: &mut Transaction<'static, Any>,
    tenant: Option<&Name>,
    (who, verb, object): (&str, &str, &str),
    what: &str,
) -> Result<()> {
    add(transaction, clock::now(), tenant, [who, verb, object, "ok", ""], what).await
}

async fn add(
    transaction: &mut Transaction<'static, Any>,
    at: i64,
    tenant: Option<&Name>,
    [who, verb, object, result, from]: [&str; 5],
    what: &str,
) -> Result<()> {
    let number: i64 = sqlx::query_scalar("UPDATE audit_numbers SET last = last + 1 RETURNING last")
        .fetch_one(&mut **transaction)
        .await
        .map_err(broken(what))?;
    let text = "INSERT INTO audit (number, moment, tenant, who, verb, object, outcome, sender) \
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    sqlx::query(text)
        .bind(number)
        .bind(at)
        .bind(tenant.map(|name| name.as_str().to_owned()))
        .bind(shortened(who))
        .bind(shortened(verb))
        .bind(shortened(object))
        .bind(shortened(result))
        .bind(shortened(from))
        .execute(&mut **transaction)
        .await
        .map_err(broken(what))?;
    Ok(())
}

fn entry(row: &AnyRow) -> Result<AuditEntry> {
    Ok(AuditEntry {
        number: value(row, "number")?,
        at: value(row, "moment")?,
        tenant: word_if_any(row, "tenant")?,
        who: value(row, "who")?,
        verb: value(row, "verb")?,
        object: value(row, "object")?,
        result: value(row, "outcome")?,
        from: value(row, "sender")?,
    })
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(TEXT_CHARS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.replace('\0', "\\0")
}
