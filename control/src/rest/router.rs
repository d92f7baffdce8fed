//! The routes and the guard that stands before all of them.
//!
//! Never looks into a body. Always: the guard asks the table of `sign_in.rs`, and what is not in it is not there; a
//! change that began ends and is noted, even if whoever asked has gone.

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use utoipa_axum::router::OpenApiRouter;

use super::answers::{Expected, Refusal, expected};
use super::asked::{Patience, invalid};
use super::audit::{Note, from_address};
use super::sign_in::{self, Caller, Need, Route, Secret};
use super::streams::{self, Watchers};
use super::{audit, inside, openapi, orders, pipelines, tenants, upgrades};
use crate::catalog::Catalog;
use crate::door::oidc::{TokenIssuer, is_of_an_issuer};
use crate::door::{Attempts, Visitor};
use crate::fleet::Fleet;
use crate::model::Identity;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::plugins::PluginFiles;
use crate::takeover::Turns;
use crate::takeover::Upgrades;

/// What the interface is to.
#[derive(Clone)]
pub(crate) struct Interface {
    /// Tenants, tokens, pipelines, the audit.
    pub(crate) catalog: Catalog,
    /// The bytes of plugins.
    pub(crate) plugins: PluginFiles,
    /// The processes.
    pub(crate) fleet: Fleet,
    /// How versions take over, in the same catalog and fleet.
    pub(crate) upgrades: Upgrades,
    /// Whose tokens sign in besides those of the catalog.
    pub(crate) issuer: Option<TokenIssuer>,
}

/// What every handler has.
#[derive(Clone)]
pub(super) struct Rest {
    /// See [`Interface`].
    pub(super) catalog: Catalog,
    /// See [`Interface`].
    pub(super) plugins: PluginFiles,
    /// See [`Interface`].
    pub(super) fleet: Fleet,
    /// See [`Interface`].
    pub(super) upgrades: Upgrades,
    /// Whose tokens sign in besides those of the catalog.
    issuer: Option<TokenIssuer>,
    /// Those that nobody signed in for.
    attempts: Attempts,
    /// How long a body may take, and a look at a pipeline.
    pub(super) patience: Patience,
    /// The streams that are open.
    pub(super) watchers: Watchers,
    /// Who changes which pipeline.
    pub(super) turns: Turns,
}

impl Rest {
    /// Whose credential this is. `None`: it is not known, or not any more.
    ///
    /// # Errors
    ///
    /// `NotSignedIn`: it is an issuer's, and not taken. `Unavailable` or `Failed`: the database or the issuer cannot be
    /// asked.
    pub(super) async fn identify(&self, secret: &Secret) -> Result<Option<Identity>> {
        let secret = secret.reveal();
        let Some(issuer) = self.issuer.as_ref().filter(|_| is_of_an_issuer(secret)) else {
            return self.catalog.identify(secret).await;
        };
        let claimed = issuer.check(secret).await?;
        if let Some(tenant) = &claimed.tenant
            && self.catalog.tenant(tenant).await?.is_none()
        {
            return Err(issuer.no_tenant());
        }
        Ok(Some(Identity {
            token: claimed.who,
            tenant: claimed.tenant,
            role: claimed.role,
        }))
    }
}

/// The routes of all of the interface, behind the door that tells who is at the other end of a connection. A stream of
/// logs that follows, or of events, ends if the peer, the pipeline or the token goes: whoever ends the daemon gives
/// open connections a limit.
pub(crate) fn router(interface: Interface) -> Router {
    with_patience(interface, Patience::default())
}

/// The same with other limits of time.
pub(super) fn with_patience(interface: Interface, patience: Patience) -> Router {
    let rest = Rest {
        catalog: interface.catalog,
        plugins: interface.plugins,
        fleet: interface.fleet,
        issuer: interface.issuer,
        attempts: Attempts::default(),
        patience,
        watchers: Watchers::default(),
        turns: interface.upgrades.turns(),
        upgrades: interface.upgrades,
    };
    let (router, _) = documented().split_for_parts();
    router
        .fallback(nothing)
        .method_not_allowed_fallback(nothing)
        .layer(from_fn_with_state(rest.clone(), guard))
        .with_state(rest)
}

/// The routes with what the OpenAPI document says of them.
pub(super) fn documented() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .merge(openapi::routes())
        .merge(tenants::routes())
        .merge(pipelines::routes())
        .merge(orders::routes())
        .merge(inside::routes())
        .merge(upgrades::routes())
        .merge(upgrades::decision_routes())
        .merge(streams::log_routes())
        .merge(streams::event_routes())
        .merge(audit::routes())
}

/// For what the guard does not let through anyway.
async fn nothing() -> Problem {
    no_path()
}

fn no_path() -> Problem {
    Problem::new(ProblemKind::NotFound, "failed to find this path", "there is none").hint("see /v1/openapi.json")
}

fn no_method(method: &Method, path: &str) -> Response {
    let methods = sign_in::methods_of(path);
    let why = format!("this path has {methods}, and {method} was asked for");
    let problem = Problem::new(ProblemKind::NotFound, "failed to find this path and method", why);
    let mut response = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, problem).into_response();
    if let Ok(methods) = HeaderValue::from_str(&methods) {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}

async fn guard(
    State(rest): State<Rest>,
    params: std::result::Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match request.extensions().get::<MatchedPath>().cloned() {
        None => no_path().into_response(),
        Some(path) => match sign_in::route_of(request.method(), path.as_str()) {
            None => no_method(request.method(), path.as_str()),
            Some(route) => guarded(rest, route, params.ok(), request, next).await,
        },
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn guarded(
    rest: Rest,
    route: &'static Route,
    params: Option<RawPathParams>,
    mut request: Request,
    next: Next,
) -> Response {
    if !route.is_change() {
        return match let_in(&rest, route, params.as_ref(), &mut request, None).await {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
    }
    let task = tokio::spawn(async move {
        let mut note = Note::of(route, request.uri().path(), from_address(&request));
        let response = match let_in(&rest, route, params.as_ref(), &mut request, Some(&mut note)).await {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
        note.answered(&response);
        note.keep(&rest.attempts, &rest.catalog).await;
        response
    });
    task.await.unwrap_or_else(|error| {
        tracing::error!(verb = route.verb, %error, "a request ended without an answer");
        let why = "it ended in a way that is a fault of the daemon";
        Problem::new(ProblemKind::Failed, format!("failed to {}", route.words()), why).into_response()
    })
}

/// Lets a request in, with its [`Caller`], or says why not; the note learns as much as is known then.
async fn let_in(
    rest: &Rest,
    route: &Route,
    params: Option<&RawPathParams>,
    request: &mut Request,
    mut note: Option<&mut Note>,
) -> Result<()> {
    if route.need == Need::Nothing {
        return Ok(());
    }
    let secret = sign_in::credential(request.headers())?;
    let Some(identity) = rest.identify(&secret).await? else {
        return Err(sign_in::not_signed_in("the token is not known, or not any more"));
    };
    if let Some(visitor) = request.extensions().get::<Visitor>() {
        visitor.signed_in(identity.tenant.as_ref());
    }
    if params.is_none() && route.path.contains('{') {
        return Err(no_path());
    }
    let asked = params.and_then(|params| params.iter().find(|(key, _)| *key == "tenant"));
    let asked = asked.map(|(_, value)| value);
    if let Some(note) = note.as_deref_mut() {
        note.by(&identity);
    }
    sign_in::allow(route, &identity, asked)?;
    let tenant = match asked {
        None => None,
        Some(text) => Some(tenant_of(rest, route, text).await?),
    };
    if let (Some(note), Some(tenant)) = (note, &tenant) {
        note.within(tenant);
    }
    if route.is_change() && !route.is_of_a_version() && expected(request.headers())? != Expected::Anything {
        let what = format!("failed to {}", route.words());
        return Err(invalid(
            &what,
            "it does not look at the header If-Match: apply, upgrade and rollback do",
        ));
    }
    request.extensions_mut().insert(Caller {
        identity,
        secret,
        tenant,
    });
    Ok(())
}

/// The tenant that a path names: it is there, unless the route makes it.
async fn tenant_of(rest: &Rest, route: &Route, text: &str) -> Result<Name> {
    let is_made = route.verb == "create-tenant";
    match text.parse::<Name>() {
        Err(why) if is_made => Err(invalid("failed to create a tenant", why)),
        Err(_) => Err(sign_in::no_tenant(text)),
        Ok(name) if is_made || rest.catalog.tenant(&name).await?.is_some() => Ok(name),
        Ok(_) => Err(sign_in::no_tenant(text)),
    }
}
