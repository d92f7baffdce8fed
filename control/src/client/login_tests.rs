//! Tokens of an issuer, asked for by a client and by a person.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use super::endpoint::Credential;
use super::*;
use crate::door::oidc::tests::TestKey;
use crate::door::oidc::tests::test_issuer::{CLIENT, TestIssuer};
use crate::model::names::Name;
use crate::model::problem::{ProblemKind, Result};

struct LoginHome {
    folder: tempfile::TempDir,
    issuer: TestIssuer,
}

impl LoginHome {
    fn new() -> Self {
        let home = Self {
            folder: tempfile::tempdir().unwrap(),
            issuer: TestIssuer::start(vec![TestKey::new("a", "EdDSA")]),
        };
        std::fs::write(home.path("secret"), CLIENT.1).unwrap();
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn add(&self, secret: Option<PathBuf>) -> Result<Option<Context>> {
        let context = Context {
            url: "http://127.0.0.1:1".to_owned(),
            token_file: None,
            trust: Trust::default(),
            oidc: Some(OidcClient {
                issuer: self.issuer.url.clone(),
                client_id: CLIENT.0.to_owned(),
                client_secret_file: secret,
                scope: None,
                ca: None,
            }),
        };
        Contexts::add(&self.path("contexts"), name("a"), context)
    }

    fn endpoint(&self) -> Result<Endpoint> {
        let around = Surroundings {
            contexts: Some(self.path("contexts")),
            ..Surroundings::default()
        };
        Endpoint::choose(&Choice::default(), &around)
    }

    fn login(&self, told: &mut Vec<DeviceCode>) -> Result<(Name, PathBuf)> {
        login(&self.path("contexts"), None, |code| told.push(code.clone()))
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn shown(runtime: &Runtime, credential: &Credential) -> Result<String> {
    let header = runtime.block_on(credential.authorization())?;
    assert!(header.is_sensitive());
    Ok(header.to_str().unwrap().to_owned())
}

fn is_private(path: &Path) -> bool {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777 == 0o600
}

#[test]
fn a_client_asks_for_a_token_and_for_another_before_it_ends() {
    let home = LoginHome::new();
    home.add(Some(home.path("secret"))).unwrap();
    assert!(
        !std::fs::read_to_string(home.path("contexts"))
            .unwrap()
            .contains(CLIENT.1)
    );
    let credential = home.endpoint().unwrap().credential;
    let runtime = Runtime::new().unwrap();
    let first = shown(&runtime, &credential).unwrap();
    assert!(first.starts_with("Bearer ") && first.split('.').count() == 3);
    assert_eq!(shown(&runtime, &credential).unwrap(), first);
    assert_eq!(home.issuer.with(|state| state.granted), 1);
    // One that ends at once is used once.
    home.issuer.with(|state| state.life = 0);
    let credential = home.endpoint().unwrap().credential;
    for granted in [2, 3] {
        shown(&runtime, &credential).unwrap();
        assert_eq!(home.issuer.with(|state| state.granted), granted);
    }
    std::fs::write(home.path("secret"), "another-hunter2").unwrap();
    let problem = shown(&runtime, &home.endpoint().unwrap().credential).unwrap_err();
    assert!(
        problem.why.contains("invalid_client") && !problem.to_string().contains("hunter2"),
        "{problem}"
    );
    assert!(!format!("{:?}", home.endpoint()).contains("hunter2"));
}

#[test]
fn a_person_types_in_a_code_and_the_token_is_kept_for_its_owner() {
    let home = LoginHome::new();
    home.add(None).unwrap();
    // There is no token before.
    assert_eq!(home.endpoint().unwrap_err().kind, ProblemKind::Failed);
    let pending = "authorization_pending";
    home.issuer.with(|state| state.refusals = vec![pending, pending]);
    let mut told = Vec::new();
    let (context, path) = home.login(&mut told).unwrap();
    assert_eq!((context, &path), (name("a"), &home.path("tokens/a")));
    assert_eq!((told.len(), told[0].code.as_str()), (1, "WDJB-MJHT"));
    assert!(told[0].url.starts_with(&home.issuer.url));
    assert!(is_private(&path) && is_private(&home.path("contexts")));
    let runtime = Runtime::new().unwrap();
    let kept = format!("Bearer {}", std::fs::read_to_string(&path).unwrap());
    assert_eq!(shown(&runtime, &home.endpoint().unwrap().credential).unwrap(), kept);
    // Who refuses leaves the token that is there.
    home.issuer
        .with(|state| state.refusals = vec![pending, "access_denied"]);
    let problem = home.login(&mut told).unwrap_err();
    assert!(problem.why.contains("access_denied"), "{problem}");
    assert_eq!(format!("Bearer {}", std::fs::read_to_string(&path).unwrap()), kept);
}

#[test]
fn a_context_names_one_way_to_a_token() {
    let home = LoginHome::new();
    let none = Contexts::read(&home.path("contexts")).unwrap();
    let problem = login(&home.path("contexts"), None, |_| {}).unwrap_err();
    assert!(none.all.is_empty() && problem.kind == ProblemKind::NotFound);
    assert!(home.add(Some(home.path("none"))).is_err());
    home.add(Some(home.path("secret"))).unwrap();
    // A client with a secret has no person who logs in.
    assert_eq!(home.login(&mut Vec::new()).unwrap_err().kind, ProblemKind::NotFound);
    let mut context = Contexts::read(&home.path("contexts"))
        .unwrap()
        .all
        .remove(&name("a"))
        .unwrap();
    context.token_file = Some(home.path("secret"));
    assert!(Contexts::add(&home.path("contexts"), name("b"), context.clone()).is_err());
    context.oidc = None;
    context.token_file = None;
    let problem = Contexts::add(&home.path("contexts"), name("b"), context).unwrap_err();
    assert!(problem.hint.unwrap().contains("--token-file"));
    // A token that is named goes before the context's.
    let choice = Choice {
        token_file: Some(home.path("secret")),
        ..Choice::default()
    };
    let around = Surroundings {
        contexts: Some(home.path("contexts")),
        ..Surroundings::default()
    };
    let endpoint = Endpoint::choose(&choice, &around).unwrap();
    assert!(matches!(endpoint.credential, Credential::Token(_)));
    assert_eq!(home.issuer.with(|state| state.granted), 0);
}
