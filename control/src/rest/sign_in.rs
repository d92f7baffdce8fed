//! Who asks, and what that one may: the credential of a request, and the one table of routes and roles.
//!
//! Never looks into a body and never answers. Always: what is not in the table is refused; a tenant's token has its own
//! tenant alone, and another's tenant looks to it like one that is not there, whether it is there or not.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, Method, header};

use super::answers::not_found;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::{Identity, Role};

/// Characters of a credential, at most: those of issuers are long.
const CREDENTIAL_CHARS: usize = 8192;

/// What asks with a body, and changes nothing.
const SHOW_COMPLETED: &str = "show-completed";

/// Who may ask for a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Everybody, without a credential too.
    Nothing,
    /// Whoever has a credential.
    SignedIn,
    /// A credential of the platform, not of a tenant, with one of these roles.
    Platform(&'static [Role]),
    /// A credential of the tenant that the path names, or of the platform, with one of these roles.
    Tenant(&'static [Role]),
}

/// A route, who may ask for it, and what the audit calls it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Its method.
    pub(super) method: Method,
    /// Its path, as the router and the OpenAPI document write it.
    pub(super) path: &'static str,
    /// Who may ask for it.
    pub(super) need: Need,
    /// What the audit calls it.
    pub(super) verb: &'static str,
}

impl Route {
    /// What it does, for a sentence.
    pub(super) fn words(&self) -> String {
        self.verb.replace('-', " ")
    }

    /// Whether it could change something, so that it is noted.
    pub(super) fn is_change(&self) -> bool {
        self.method != Method::GET && self.verb != SHOW_COMPLETED
    }

    /// Whether it makes a version of a pipeline, and so looks at the header `If-Match`.
    pub(super) fn is_of_a_version(&self) -> bool {
        matches!(self.verb, "apply" | "upgrade" | "rollback")
    }
}

const EVERY_ROLE: &[Role] = &[Role::Viewer, Role::Author, Role::Operator, Role::Admin];
const AUTHORS: &[Role] = &[Role::Author, Role::Admin];
/// The roles that look after pipelines, and see records.
pub(super) const OPERATORS: &[Role] = &[Role::Operator, Role::Admin];
const ADMINS: &[Role] = &[Role::Admin];

const fn route(method: Method, path: &'static str, need: Need, verb: &'static str) -> Route {
    Route {
        method,
        path,
        need,
        verb,
    }
}

/// A path below that of a pipeline.
macro_rules! of_pipeline {
    ($below:literal) => {
        concat!("/v1/tenants/{tenant}/pipelines/{pipeline}", $below)
    };
}

/// Every route there is.
#[rustfmt::skip]
pub(super) static ROUTES: &[Route] = &[
    route(Method::GET, "/v1/openapi.json", Need::Nothing, "show-openapi"),
    route(Method::GET, "/v1/whoami", Need::SignedIn, "show-whoami"),
    route(Method::GET, "/v1/audit", Need::Platform(ADMINS), "show-audit"),
    route(Method::GET, "/v1/tenants", Need::Platform(ADMINS), "list-tenants"),
    route(Method::GET, "/v1/tenants/{tenant}", Need::Tenant(EVERY_ROLE), "show-tenant"),
    route(Method::PUT, "/v1/tenants/{tenant}", Need::Platform(ADMINS), "create-tenant"),
    route(Method::DELETE, "/v1/tenants/{tenant}", Need::Platform(ADMINS), "delete-tenant"),
    route(Method::GET, "/v1/tenants/{tenant}/audit", Need::Tenant(ADMINS), "show-audit"),
    route(Method::GET, "/v1/tenants/{tenant}/tokens", Need::Tenant(ADMINS), "list-tokens"),
    route(Method::POST, "/v1/tenants/{tenant}/tokens", Need::Tenant(ADMINS), "create-token"),
    route(Method::DELETE, "/v1/tenants/{tenant}/tokens/{token}", Need::Tenant(ADMINS), "revoke-token"),
    route(Method::GET, "/v1/tenants/{tenant}/secrets", Need::Tenant(OPERATORS), "list-secrets"),
    route(Method::PUT, "/v1/tenants/{tenant}/secrets/{secret}", Need::Tenant(ADMINS), "set-secret"),
    route(Method::DELETE, "/v1/tenants/{tenant}/secrets/{secret}", Need::Tenant(ADMINS), "delete-secret"),
    route(Method::GET, "/v1/tenants/{tenant}/clusters", Need::Tenant(EVERY_ROLE), "list-clusters"),
    route(Method::GET, "/v1/tenants/{tenant}/clusters/{cluster}", Need::Tenant(EVERY_ROLE), "show-cluster"),
    route(Method::PUT, "/v1/tenants/{tenant}/clusters/{cluster}", Need::Platform(ADMINS), "set-cluster"),
    route(Method::DELETE, "/v1/tenants/{tenant}/clusters/{cluster}", Need::Platform(ADMINS), "delete-cluster"),
    route(Method::PUT, "/v1/tenants/{tenant}/access", Need::Platform(ADMINS), "set-access"),
    route(Method::GET, "/v1/tenants/{tenant}/quotas", Need::Tenant(EVERY_ROLE), "show-quotas"),
    route(Method::PUT, "/v1/tenants/{tenant}/quotas", Need::Platform(ADMINS), "set-quotas"),
    route(Method::GET, "/v1/tenants/{tenant}/signing-keys", Need::Tenant(EVERY_ROLE), "list-signing-keys"),
    route(Method::POST, "/v1/tenants/{tenant}/signing-keys", Need::Tenant(ADMINS), "add-signing-key"),
    route(Method::DELETE, "/v1/tenants/{tenant}/signing-keys/{key}", Need::Tenant(ADMINS), "remove-signing-key"),
    route(Method::PUT, "/v1/tenants/{tenant}/signatures", Need::Tenant(ADMINS), "set-signatures"),
    route(Method::GET, "/v1/usage", Need::Platform(ADMINS), "show-usage"),
    route(Method::GET, "/v1/tenants/{tenant}/usage", Need::Tenant(EVERY_ROLE), "show-usage"),
    route(Method::GET, "/v1/tenants/{tenant}/plugins", Need::Tenant(EVERY_ROLE), "list-plugins"),
    route(Method::POST, "/v1/tenants/{tenant}/plugins", Need::Tenant(AUTHORS), "push-plugin"),
    route(Method::GET, "/v1/tenants/{tenant}/plugins/{digest}", Need::Tenant(EVERY_ROLE), "show-plugin"),
    route(Method::GET, "/v1/tenants/{tenant}/pipelines", Need::Tenant(EVERY_ROLE), "list-pipelines"),
    route(Method::GET, "/v1/tenants/{tenant}/pipelines/{pipeline}", Need::Tenant(EVERY_ROLE), "show-pipeline"),
    route(Method::PUT, "/v1/tenants/{tenant}/pipelines/{pipeline}", Need::Tenant(OPERATORS), "apply"),
    route(Method::DELETE, "/v1/tenants/{tenant}/pipelines/{pipeline}", Need::Tenant(OPERATORS), "delete"),
    route(Method::GET, "/v1/tenants/{tenant}/pipelines/{pipeline}/status", Need::Tenant(EVERY_ROLE), "show-status"),
    route(Method::GET, "/v1/tenants/{tenant}/pipelines/{pipeline}/versions", Need::Tenant(EVERY_ROLE), "list-versions"),
    route(Method::GET, "/v1/tenants/{tenant}/pipelines/{pipeline}/logs", Need::Tenant(EVERY_ROLE), "read-logs"),
    route(Method::GET, "/v1/tenants/{tenant}/pipelines/{pipeline}/events", Need::Tenant(EVERY_ROLE), "follow-events"),
    route(Method::POST, "/v1/tenants/{tenant}/pipelines/{pipeline}/pause", Need::Tenant(OPERATORS), "pause"),
    route(Method::POST, "/v1/tenants/{tenant}/pipelines/{pipeline}/resume", Need::Tenant(OPERATORS), "resume"),
    route(Method::POST, "/v1/tenants/{tenant}/pipelines/{pipeline}/stop", Need::Tenant(OPERATORS), "stop"),
    route(Method::POST, "/v1/tenants/{tenant}/pipelines/{pipeline}/start", Need::Tenant(OPERATORS), "start"),
    route(Method::GET, of_pipeline!("/positions"), Need::Tenant(EVERY_ROLE), "show-positions"),
    route(Method::POST, of_pipeline!("/completed"), Need::Tenant(EVERY_ROLE), SHOW_COMPLETED),
    route(Method::POST, of_pipeline!("/seek"), Need::Tenant(OPERATORS), "seek"),
    route(Method::GET, of_pipeline!("/checkpoints"), Need::Tenant(EVERY_ROLE), "list-checkpoints"),
    route(Method::GET, of_pipeline!("/savepoints"), Need::Tenant(EVERY_ROLE), "list-savepoints"),
    route(Method::POST, of_pipeline!("/savepoints"), Need::Tenant(OPERATORS), "create-savepoint"),
    route(Method::DELETE, of_pipeline!("/savepoints/{savepoint}"), Need::Tenant(OPERATORS), "delete-savepoint"),
    route(Method::GET, of_pipeline!("/state"), Need::Tenant(OPERATORS), "read-state"),
    route(Method::GET, of_pipeline!("/dead-letters"), Need::Tenant(EVERY_ROLE), "list-dead-letters"),
    route(Method::GET, of_pipeline!("/dead-letters/{letter}"), Need::Tenant(OPERATORS), "show-dead-letter"),
    route(Method::POST, of_pipeline!("/dead-letters/replay"), Need::Tenant(OPERATORS), "replay-dead-letters"),
    route(Method::GET, of_pipeline!("/metrics"), Need::Tenant(EVERY_ROLE), "read-metrics"),
    route(Method::GET, of_pipeline!("/support"), Need::Tenant(EVERY_ROLE), "show-support"),
    route(Method::GET, "/v1/metrics", Need::Platform(EVERY_ROLE), "read-metrics"),
    route(Method::GET, "/v1/tenants/{tenant}/pipelines/{pipeline}/upgrade", Need::Tenant(EVERY_ROLE), "show-upgrade"),
    route(Method::POST, "/v1/tenants/{tenant}/pipelines/{pipeline}/upgrade", Need::Tenant(OPERATORS), "upgrade"),
    route(Method::POST, of_pipeline!("/upgrade/promote"), Need::Tenant(OPERATORS), "promote"),
    route(Method::POST, of_pipeline!("/upgrade/drop"), Need::Tenant(OPERATORS), "drop-canary"),
    route(Method::POST, "/v1/tenants/{tenant}/pipelines/{pipeline}/rollback", Need::Tenant(OPERATORS), "rollback"),
];

/// The route of a method and of a path as the router writes it; `HEAD` is `GET` without a body.
pub(super) fn route_of(method: &Method, path: &str) -> Option<&'static Route> {
    let method = match *method {
        Method::HEAD => &Method::GET,
        _ => method,
    };
    ROUTES
        .iter()
        .find(|route| route.method == *method && route.path == path)
}

/// The methods that a path has, as the header `Allow` lists them.
pub(super) fn methods_of(path: &str) -> String {
    let of_path = ROUTES.iter().filter(|route| route.path == path);
    let methods: Vec<&str> = of_path.map(|route| route.method.as_str()).collect();
    methods.join(", ")
}

/// Whether this one may have this route, whose path names this tenant if it names one.
///
/// # Errors
///
/// `NotFound` if it is another tenant's, whatever the role; `NotAllowed` if the role does not have it.
pub(super) fn allow(route: &Route, identity: &Identity, tenant: Option<&str>) -> Result<()> {
    if let (Some(own), Some(asked)) = (&identity.tenant, tenant)
        && own.as_str() != asked
    {
        return Err(no_tenant(asked));
    }
    let (is_allowed, roles) = match route.need {
        Need::Nothing | Need::SignedIn => (true, EVERY_ROLE),
        Need::Platform(roles) => (identity.tenant.is_none() && roles.contains(&identity.role), roles),
        Need::Tenant(roles) => (tenant.is_some() && roles.contains(&identity.role), roles),
    };
    match is_allowed {
        true => Ok(()),
        false => Err(refused(route, identity, roles)),
    }
}

fn refused(route: &Route, identity: &Identity, roles: &[Role]) -> Problem {
    let whose = match route.need {
        Need::Platform(_) => "the platform, of ",
        _ => "",
    };
    Problem::new(
        ProblemKind::NotAllowed,
        format!("failed to {}", route.words()),
        format!("the role {} does not have it", word(identity.role)),
    )
    .hint(format!("use a token of {whose}role {}", words(roles)))
}

/// That a tenant is not there, for whoever it is not there: no more is said of another's.
pub(super) fn no_tenant(name: &str) -> Problem {
    not_found("tenant", name)
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Author => "author",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

/// These roles, for a sentence.
pub(super) fn words(roles: &[Role]) -> String {
    let words: Vec<&str> = roles.iter().map(|role| word(*role)).collect();
    words.join(" or ")
}

/// A credential, which is never shown.
#[derive(Clone)]
pub(super) struct Secret(Arc<str>);

impl Secret {
    /// What it is, to look it up.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

/// Who asks, after the guard let them in.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// Who.
    pub(super) identity: Identity,
    /// By which credential.
    pub(super) secret: Secret,
    /// Of which tenant, if the path names one: it is there, and it fits.
    pub(super) tenant: Option<Name>,
}

/// The credential of a request.
///
/// # Errors
///
/// `NotSignedIn` if there is none, more than one, or one that is no bearer token.
pub(super) fn credential(headers: &HeaderMap) -> Result<Secret> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (all.next(), all.next());
    let value = match (first, second) {
        (None, _) => return Err(not_signed_in("there is no header Authorization")),
        (Some(_), Some(_)) => return Err(not_signed_in("there is more than one header Authorization")),
        (Some(value), None) => value,
    };
    let text = value.to_str().unwrap_or_default();
    let (scheme, secret) = text.split_once(' ').unwrap_or((text, ""));
    let is_of_a_token = |c: char| c.is_ascii_graphic();
    let is_token = !secret.is_empty() && secret.len() <= CREDENTIAL_CHARS && secret.chars().all(is_of_a_token);
    match scheme.eq_ignore_ascii_case("bearer") && is_token {
        true => Ok(Secret(Arc::from(secret))),
        false => Err(not_signed_in("the header Authorization has no bearer token")),
    }
}

/// That no known credential came, and why.
pub(super) fn not_signed_in(why: &str) -> Problem {
    Problem::new(ProblemKind::NotSignedIn, "failed to sign in", why)
        .hint("send a token as `Authorization: Bearer …`; one that expired or was revoked is not taken")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn one_bearer_token_is_a_credential_and_nothing_else() {
        let secret = credential(&headers(&["Bearer sbt_abc"])).unwrap();
        assert_eq!(secret.reveal(), "sbt_abc");
        assert!(!format!("{secret:?}").contains("abc"));
        assert!(credential(&headers(&["bearer sbt_abc"])).is_ok());
        let long = format!("Bearer {}", "x".repeat(CREDENTIAL_CHARS + 1));
        let none: [&[&str]; 8] = [
            &[],
            &["Bearer a", "Bearer a"],
            &["sbt_abc"],
            &["Basic sbt_abc"],
            &["Bearer"],
            &["Bearer  a"],
            &["Bearer a b"],
            &[&long],
        ];
        for values in none {
            let problem = credential(&headers(values)).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::NotSignedIn, "{values:?}");
            assert!(!problem.to_string().contains("abc"), "{problem}");
        }
    }

    #[test]
    fn a_route_stands_in_the_table_once() {
        for (at, route) in ROUTES.iter().enumerate() {
            let is_same = |other: &Route| other.method == route.method && other.path == route.path;
            assert!(!ROUTES[at + 1..].iter().any(is_same), "{route:?}");
            assert_eq!(route_of(&route.method, route.path), Some(route));
            let is_of_tenant = matches!(route.need, Need::Tenant(_));
            assert!(!is_of_tenant || route.path.contains("{tenant}"), "{route:?}");
        }
        assert_eq!(route_of(&Method::PATCH, "/v1/whoami"), None);
        assert_eq!(methods_of("/v1/tenants/{tenant}"), "GET, PUT, DELETE");
    }
}
