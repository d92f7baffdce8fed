//! The OpenAPI document, made from the handlers and from the table of routes and roles.
//!
//! Always: what it says of who may ask for a route is what the guard does.

use std::sync::LazyLock;

use axum::http::Method;
use axum::http::header::{self, HeaderName};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, Info, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder, path::Operation,
};
use utoipa::{PartialSchema as _, ToSchema as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::answers::{PROBLEM, ProblemDetails};
use super::router::{Rest, documented};
use super::sign_in::{Need, Route, route_of, words};

/// The name of the way to sign in.
const TOKEN: &str = "token";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let text = openapi().to_pretty_json();
    text.unwrap_or_else(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be written");
        "{}".to_owned()
    })
});

/// The document of the interface (OpenAPI 3.1).
pub fn openapi() -> OpenApi {
    let mut document = documented().into_openapi();
    document.info = Info::new("Sandbar", "1");
    document.info.description = Some(
        "Keeps the pipelines of many tenants. Every error is a problem (RFC 9457). A path of another tenant answers as \
         one of a tenant that is not there."
            .to_owned(),
    );
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            if let Some(route) = route_of(&method, path) {
                describe(operation, route);
            }
        }
    }
    let components = document.components.get_or_insert_with(Components::new);
    let name = ProblemDetails::name().into_owned();
    components.schemas.insert(name, ProblemDetails::schema());
    let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.security_schemes.insert(TOKEN.to_owned(), RefOr::T(token));
    document
}

/// The operations of a path.
pub(super) fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
        (Method::HEAD, &mut item.head),
        (Method::OPTIONS, &mut item.options),
        (Method::TRACE, &mut item.trace),
    ];
    all.into_iter()
        .filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

fn describe(operation: &mut Operation, route: &Route) {
    let needs = match route.need {
        Need::Nothing => "Needs no token.".to_owned(),
        Need::SignedIn => "Needs a token.".to_owned(),
        Need::Platform(roles) => format!("Needs a token of the platform, of role {}.", words(roles)),
        Need::Tenant(roles) => format!(
            "Needs a token of the tenant or of the platform, of role {}.",
            words(roles)
        ),
    };
    operation.description = Some(needs);
    if route.need != Need::Nothing {
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, [] as [String; 0])]);
    }
    let schema = Ref::from_schema_name(ProblemDetails::name());
    let problem: Response = ResponseBuilder::new()
        .description("A problem.")
        .content(PROBLEM, Content::new(Some(schema)))
        .build();
    operation
        .responses
        .responses
        .insert("default".to_owned(), RefOr::T(problem));
}

/// The routes of the document.
pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(document))
}

/// This document.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "about", operation_id = "openapi",
    responses((status = 200, description = "The document.", content_type = "application/json")))]
async fn document() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}
