//! Who did what: the notes of the guard, and the routes that show them.
//!
//! Never has a body, a credential or a secret in a note. Always: a note stands with the tenant of whoever asked, so
//! that a tenant does not learn of others by their attempts; one that the platform did in a tenant stands with that
//! tenant.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{List, QuotaSentence};
use super::asked::{Asked, InTenant, MOST_ITEMS, invalid};
use super::router::Rest;
use super::sign_in::Route;
use crate::catalog::Catalog;
use crate::door::{Attempt, Attempts, Visitor};
use crate::model::names::Name;
use crate::model::problem::{ProblemKind, Result};
use crate::model::{AuditEntry, Identity};

/// Characters of what a note says of an object, at most.
const OBJECT_CHARS: usize = 200;
/// Entries of a piece, if nobody says how many.
const USUAL_ENTRIES: u32 = 100;

/// Said by a handler of its answer: what the note is to have instead of what the path says.
#[derive(Debug, Clone, Default)]
pub(super) struct Noted {
    /// What was done, if the route does more than one thing.
    pub(super) verb: Option<&'static str>,
    /// Of what, if the path does not have it.
    pub(super) object: Option<String>,
}

/// A note that is about to be written.
#[derive(Debug)]
pub(super) struct Note {
    tenant: Option<Name>,
    who: String,
    verb: &'static str,
    object: String,
    from: String,
    result: String,
    is_of_platform: bool,
}

/// The address of the peer; empty if no door gives it.
pub(super) fn from_address(request: &Request) -> String {
    let visitor = request.extensions().get::<Visitor>();
    visitor.map(|visitor| visitor.from().to_owned()).unwrap_or_default()
}

impl Note {
    /// Of a request whose owner is not known yet.
    pub(super) fn of(route: &Route, path: &str, from: String) -> Self {
        let object = path.strip_prefix("/v1/").unwrap_or(path);
        Self {
            tenant: None,
            who: String::new(),
            verb: route.verb,
            object: object.chars().take(OBJECT_CHARS).collect(),
            from,
            result: String::new(),
            is_of_platform: matches!(route.verb, "create-tenant" | "delete-tenant"),
        }
    }

    /// Of requests that nobody signed in for, as many as this, which have no notes of their own.
    fn of_left_out(count: u64) -> Self {
        Self {
            tenant: None,
            who: String::new(),
            verb: "sign-in",
            object: format!("{count} more"),
            from: String::new(),
            result: "not-signed-in".to_owned(),
            is_of_platform: true,
        }
    }

    /// Its owner is known.
    pub(super) fn by(&mut self, identity: &Identity) {
        self.who = identity.token.clone();
        self.tenant = identity.tenant.clone();
    }

    /// It is let in, and in this tenant.
    pub(super) fn within(&mut self, tenant: &Name) {
        if self.is_of_platform {
            return;
        }
        if let Some(object) = self.object.strip_prefix(&format!("tenants/{tenant}/")) {
            self.object = object.to_owned();
        }
        self.tenant = Some(tenant.clone());
    }

    /// It was answered so.
    pub(super) fn answered(&mut self, response: &Response) {
        let noted = response.extensions().get::<Noted>().cloned().unwrap_or_default();
        self.verb = noted.verb.unwrap_or(self.verb);
        self.object = noted.object.unwrap_or(std::mem::take(&mut self.object));
        self.result = result_of(response);
    }

    /// Writes it, unless it is one too many of those that nobody signed in for: they are counted.
    pub(super) async fn keep(self, attempts: &Attempts, catalog: &Catalog) {
        let is_of_nobody = self.who.is_empty();
        match is_of_nobody.then(|| attempts.one_more(&self.from)) {
            None | Some(Attempt::Noted) => self.write(catalog).await,
            Some(Attempt::LeftOut) => {}
            Some(Attempt::FirstLeftOut) => {
                let (attempts, catalog) = (attempts.clone(), catalog.clone());
                tokio::spawn(async move {
                    let count = attempts.left_out().await;
                    Self::of_left_out(count).write(&catalog).await;
                });
            }
        }
    }

    async fn write(self, catalog: &Catalog) {
        let Self {
            verb, object, result, ..
        } = &self;
        let at = crate::clock::now();
        let tenant = self.tenant.as_ref();
        let written = catalog.note(at, tenant, &self.who, verb, object, result, &self.from);
        if let Err(problem) = written.await {
            tracing::error!(who = self.who, verb, object, result, %problem, "failed to write to the audit");
        }
    }
}

fn result_of(response: &Response) -> String {
    let status = response.status();
    match response.extensions().get::<ProblemKind>().map(serde_json::to_value) {
        Some(Ok(serde_json::Value::String(kind))) => match response.extensions().get::<QuotaSentence>() {
            Some(QuotaSentence(why)) => format!("{kind}: {why}"),
            None => kind,
        },
        _ if status.is_success() => "ok".to_owned(),
        _ => status.as_u16().to_string(),
    }
}

/// Which entries.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Entries {
    /// Entries with a greater number than this one.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Entries at most: 1 to 500, 100 if it is not given.
    #[param(minimum = 1, maximum = 500)]
    most: Option<u32>,
}

/// The routes of the audit.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(of_platform))
        .routes(routes!(of_tenant))
}

/// Every change and refused change, of all tenants, oldest first.
#[utoipa::path(get, path = "/v1/audit", tag = "audit", operation_id = "audit", params(Entries),
    responses((status = 200, description = "The entries.", body = List<AuditEntry>)))]
async fn of_platform(State(rest): State<Rest>, Asked(entries): Asked<Entries>) -> Result<Json<List<AuditEntry>>> {
    listed(&rest, None, &entries).await
}

/// Every change and refused change of a tenant, oldest first.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/audit", tag = "audit", operation_id = "tenant-audit",
    params(("tenant" = String, Path, description = "The tenant's name."), Entries),
    responses((status = 200, description = "The entries.", body = List<AuditEntry>)))]
async fn of_tenant(
    State(rest): State<Rest>,
    InTenant(tenant): InTenant,
    Asked(entries): Asked<Entries>,
) -> Result<Json<List<AuditEntry>>> {
    listed(&rest, Some(&tenant), &entries).await
}

async fn listed(rest: &Rest, tenant: Option<&Name>, entries: &Entries) -> Result<Json<List<AuditEntry>>> {
    let most = entries.most.unwrap_or(USUAL_ENTRIES);
    let after = entries.after.unwrap_or(0);
    if !(1..=MOST_ITEMS).contains(&most) || after < 0 {
        let why = format!("most = {most} is not within 1 to {MOST_ITEMS}, or after = {after} is less than 0");
        return Err(invalid("failed to list", why));
    }
    let items = rest.catalog.audit(tenant, after, most).await?;
    Ok(Json(List::piece(items, most, |entry| entry.number.to_string())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rest::sign_in::route_of;

    #[tokio::test]
    async fn strangers_do_not_fill_the_audit_and_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let catalog = Catalog::open(&url).await.unwrap();
        let attempts = Attempts::reporting_after(Duration::from_secs(1));
        let route = route_of(&axum::http::Method::DELETE, "/v1/tenants/{tenant}").unwrap();
        let sent: usize = 100;
        for at in 0..=sent {
            let from = if at == sent { "10.0.0.2" } else { "10.0.0.1" };
            let note = Note::of(route, "/v1/tenants/alpha", from.to_owned());
            note.keep(&attempts, &catalog).await;
        }
        let reported = async {
            loop {
                let noted = catalog.audit(None, 0, 500).await.unwrap();
                if noted.last().is_some_and(|entry| entry.verb == "sign-in") {
                    return noted;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let noted = tokio::time::timeout(Duration::from_secs(60), reported)
            .await
            .expect("a report");
        let of = |from: &str| noted.iter().filter(|entry| entry.from == from).count();
        assert!(of("10.0.0.1") < sent - 10, "{}", of("10.0.0.1"));
        assert_eq!(of("10.0.0.2"), 1);
        let report = noted.last().unwrap();
        assert_eq!(report.object, format!("{} more", sent - of("10.0.0.1")));
        assert_eq!((report.who.as_str(), report.result.as_str()), ("", "not-signed-in"));
    }
}
