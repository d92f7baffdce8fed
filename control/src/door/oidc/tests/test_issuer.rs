//! A small OpenID Connect issuer: discovery, keys, client credentials and the login of a device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::TestKey;
use crate::door::oidc::OidcOptions;

/// The client that it knows: id and secret.
pub(crate) const CLIENT: (&str, &str) = ("sandbar-client", "hunter2-of-a-client");
/// Whom its tokens are for.
pub(crate) const AUDIENCE: &str = "sandbar";

pub(crate) struct TestIssuer {
    pub(crate) url: String,
    pub(crate) state: Arc<Mutex<IssuerState>>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What it says, and what it was asked.
pub(crate) struct IssuerState {
    url: String,
    /// The first one signs.
    pub(crate) keys: Vec<TestKey>,
    /// What its discovery document says otherwise.
    pub(crate) says: HashMap<&'static str, Value>,
    /// How often its keys were asked for.
    pub(crate) asked: usize,
    /// Seconds that a token of a client lives.
    pub(crate) life: i64,
    pub(crate) granted: usize,
    /// What a device is answered, one after the other, before it gets its token.
    pub(crate) refusals: Vec<&'static str>,
}

type SharedState = State<Arc<Mutex<IssuerState>>>;

impl TestIssuer {
    pub(crate) fn start(keys: Vec<TestKey>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(IssuerState {
            url: url.clone(),
            keys,
            says: HashMap::new(),
            asked: 0,
            life: 600,
            granted: 0,
            refusals: Vec::new(),
        }));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys_of))
            .route("/token", post(token))
            .route("/device", post(device))
            .with_state(state.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().spawn(run).unwrap();
        Self {
            url,
            state,
            running: Some((stop, thread)),
        }
    }

    /// From now on nobody listens.
    pub(crate) fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }

    pub(crate) fn with<T>(&self, change: impl FnOnce(&mut IssuerState) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    pub(crate) fn options(&self) -> OidcOptions {
        OidcOptions {
            issuer: self.url.clone(),
            audience: AUDIENCE.to_owned(),
            ca: None,
            tenant_claim: "sandbar_tenant".to_owned(),
            role_claim: "sandbar_role".to_owned(),
            is_for_platform: false,
        }
    }

    /// The claims of a token that is taken.
    pub(crate) fn claims(&self) -> Value {
        claims(&self.url, 600)
    }

    /// A token that is taken, by the key that signs.
    pub(crate) fn token(&self) -> String {
        let claims = self.claims();
        self.with(|state| state.keys[0].sign(&claims))
    }
}

impl Drop for TestIssuer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn claims(issuer: &str, life: i64) -> Value {
    let now = crate::clock::now() / 1000;
    json!({ "iss": issuer, "aud": AUDIENCE, "sub": "ann", "exp": now + life, "nbf": now, "iat": now,
        "sandbar_tenant": "alpha", "sandbar_role": "operator" })
}

async fn discovery(State(state): SharedState) -> Json<Value> {
    let state = state.lock().unwrap();
    let url = &state.url;
    let mut said = json!({ "issuer": url, "jwks_uri": format!("{url}/keys"), "token_endpoint": format!("{url}/token"),
        "device_authorization_endpoint": format!("{url}/device") });
    for (key, value) in &state.says {
        said[*key] = value.clone();
    }
    Json(said)
}

async fn keys_of(State(state): SharedState) -> Json<Value> {
    let mut state = state.lock().unwrap();
    state.asked += 1;
    let mut keys: Vec<Value> = state.keys.iter().map(TestKey::jwk).collect();
    // Sorts that nobody here knows, and one for something else.
    keys.push(json!({ "kty": "brand-new", "kid": "x" }));
    keys.push(json!({ "kty": "oct", "kid": "symmetric", "k": "aHVudGVyMg" }));
    keys.push(json!(7));
    Json(json!({ "keys": keys }))
}

type OidcAnswer = (StatusCode, Json<Value>);

fn refused(error: &str) -> OidcAnswer {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error })))
}

async fn token(State(state): SharedState, headers: HeaderMap, Form(form): Form<HashMap<String, String>>) -> OidcAnswer {
    let mut state = state.lock().unwrap();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", CLIENT.0, CLIENT.1)));
    let is_client = headers.get(header::AUTHORIZATION).is_some_and(|shown| *shown == *basic);
    match form["grant_type"].as_str() {
        "client_credentials" if !is_client => return refused("invalid_client"),
        "client_credentials" => {}
        "urn:ietf:params:oauth:grant-type:device_code" if form["device_code"] != "a-device" => {
            return refused("invalid_grant");
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            if !state.refusals.is_empty() {
                return refused(state.refusals.remove(0));
            }
        }
        _ => return refused("unsupported_grant_type"),
    }
    state.granted += 1;
    let token = state.keys[0].sign(&claims(&state.url, state.life));
    let granted = json!({ "access_token": token, "token_type": "Bearer", "expires_in": state.life });
    (StatusCode::OK, Json(granted))
}

async fn device(State(state): SharedState, Form(form): Form<HashMap<String, String>>) -> OidcAnswer {
    if form["client_id"] != CLIENT.0 || form["scope"] != "openid" {
        return refused("invalid_client");
    }
    let url = format!("{}/activate", state.lock().unwrap().url);
    let code = json!({ "device_code": "a-device", "user_code": "WDJB-MJHT", "verification_uri": url,
        "expires_in": 600, "interval": 0 });
    (StatusCode::OK, Json(code))
}
