//! The present state of signing in, shared by all clients of a cluster: a token, and what stands in files.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::endpoint::Endpoint;
use super::secret::Secret;
use super::token::Token;
use crate::clock;
use crate::error::{Error, Kind, Result};

/// How often files are looked at, and a token is asked for again that could not be had.
const LOOK: Duration = Duration::from_secs(5);
const USER: &str = "sasl.username";
const PASSWORD: &str = "sasl.password";

/// How the clients of a cluster sign in, if that changes while they live. Clones share one state.
#[derive(Clone, Default)]
pub struct Login(Option<Arc<SharedLogin>>);

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenSource {
    /// The token itself, wherever it stands.
    Token(Secret),
    /// An OIDC provider.
    Endpoint(Endpoint),
}

struct SharedLogin {
    source: Option<TokenSource>,
    extensions: Vec<(String, String)>,
    /// Properties whose values stand in files.
    files: BTreeMap<String, Secret>,
    /// User and password as they were when the pipeline was read.
    credentials: Option<(String, String)>,
    /// Grows with each change.
    version: AtomicU64,
    is_looking: AtomicBool,
    state: Mutex<LoginState>,
}

#[derive(Default)]
struct LoginState {
    token: Option<Token>,
    /// What the files held when they could last be read.
    values: BTreeMap<String, String>,
    next_look: Option<Instant>,
}

/// What a client signs in with now.
#[derive(Clone)]
pub(crate) struct Present {
    pub(crate) version: u64,
    pub(crate) token: Option<Token>,
    pub(crate) extensions: Vec<(String, String)>,
    /// User and password, if one of them stands in a file.
    pub(crate) credentials: Option<(String, String)>,
}

impl LoginState {
    /// Until the next look: sooner if the token is short-lived, and never at once.
    fn pause(&self) -> Duration {
        let Some(token) = &self.token else { return LOOK };
        let left = u64::try_from(token.renew_after() - clock::wall_ms()).unwrap_or(0);
        Duration::from_millis(left).clamp(LOOK / 5, LOOK)
    }
}

/// Two clusters are the same if their clients sign in in the same way.
impl PartialEq for Login {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                (&one.source, &one.extensions, &one.files) == (&other.source, &other.extensions, &other.files)
            }
            _ => false,
        }
    }
}

impl Eq for Login {}

impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Login")
    }
}

impl Login {
    /// The port of whoever issues tokens, if somebody does.
    pub fn issuer_port(&self) -> Option<u16> {
        match &self.0.as_ref()?.source {
            Some(TokenSource::Endpoint(endpoint)) => endpoint.url.port(),
            Some(TokenSource::Token(_)) | None => None,
        }
    }

    /// `texts`: all properties as they were when the pipeline was read.
    pub(super) fn new(
        source: Option<TokenSource>,
        extensions: Vec<(String, String)>,
        files: BTreeMap<String, Secret>,
        texts: &BTreeMap<String, String>,
    ) -> Self {
        if source.is_none() && files.is_empty() {
            return Self(None);
        }
        // What differs from these is news, at the first look too: until then clients sign in with them.
        let values = texts.iter().filter(|(name, _)| files.contains_key(*name));
        let state = LoginState {
            values: values.map(|(name, value)| (name.clone(), value.clone())).collect(),
            ..LoginState::default()
        };
        Self(Some(Arc::new(SharedLogin {
            source,
            extensions,
            credentials: credentials(&files, texts),
            files,
            version: AtomicU64::new(0),
            is_looking: AtomicBool::new(false),
            state: Mutex::new(state),
        })))
    }

    /// The properties for a new client: what stands in files is read now, and stays as it was if it cannot be read.
    pub fn renew(&self, properties: &mut BTreeMap<String, String>) {
        if let Some(shared) = &self.0 {
            shared.look_at_files();
            properties.extend(shared.state().values.clone());
        }
    }

    /// What a new client signs in with. Waits for a token only if there is none, or the one that there is ended:
    /// whoever makes a client may process records, and a token that is to be renewed is still good.
    pub(crate) fn present(&self) -> Result<Option<Present>> {
        let Some(shared) = &self.0 else { return Ok(None) };
        let now = clock::wall_ms();
        let known = shared
            .state()
            .token
            .as_ref()
            .map(|token| (token.renew_after(), token.until));
        match known {
            _ if shared.source.is_none() => {}
            Some((renew_after, _)) if now < renew_after => {}
            Some((_, until)) if now < until => shared.begin_look(),
            _ => match shared.look_for_token() {
                Ok(()) => {}
                // A client that is made later than the first gets its token when there is one.
                Err(why) if known.is_some() => no_news(&why),
                Err(why) => return Err(failed(why)),
            },
        }
        Ok(Some(shared.present()))
    }

    /// What a client signs in with from now on, if that is newer than what it `seen`. Waits for nothing: what is due is
    /// begun.
    pub(crate) fn newer(&self, seen: u64) -> Option<Present> {
        let shared = self.0.as_ref()?;
        if shared.is_due() {
            shared.begin_look();
        }
        (shared.version.load(Ordering::Acquire) > seen).then(|| shared.present())
    }
}

impl SharedLogin {
    fn state(&self) -> MutexGuard<'_, LoginState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self) -> Present {
        let state = self.state();
        Present {
            version: self.version.load(Ordering::Acquire),
            token: state.token.clone(),
            extensions: self.extensions.clone(),
            credentials: self.credentials.clone().map(|(user, password)| {
                let now = |name: &str, before| state.values.get(name).cloned().unwrap_or(before);
                (now(USER, user), now(PASSWORD, password))
            }),
        }
    }

    fn is_due(&self) -> bool {
        let mut state = self.state();
        let now = clock::now();
        let is_due = state.next_look.is_some_and(|next| now >= next);
        if is_due || state.next_look.is_none() {
            state.next_look = Some(now + state.pause());
        }
        is_due
    }

    /// Looks in a thread of its own, unless one looks already.
    fn begin_look(self: &Arc<Self>) {
        if self.is_looking.swap(true, Ordering::Relaxed) {
            return;
        }
        let looking = self.clone();
        let thread = std::thread::Builder::new().name("login".to_owned());
        // If no thread is to be had the next look tries again.
        if thread.spawn(move || looking.look()).is_err() {
            self.is_looking.store(false, Ordering::Relaxed);
        }
    }

    fn look(&self) {
        self.look_at_files();
        if self.wants_token()
            && let Err(why) = self.look_for_token()
        {
            no_news(&why);
        }
        self.is_looking.store(false, Ordering::Relaxed);
    }

    fn look_at_files(&self) {
        for (name, file) in &self.files {
            match file.read() {
                Ok(value) => self.learn(name, value),
                Err(why) => tracing::warn!("`{name}` cannot be read again: {why}; it stays as it was"),
            }
        }
    }

    fn learn(&self, name: &str, value: String) {
        let mut state = self.state();
        if state.values.get(name) == Some(&value) {
            return;
        }
        // Whoever writes a file anew may have emptied it for a moment; the next look sees what was written.
        if value.is_empty() {
            tracing::warn!("the file of `{name}` is empty; it stays as it was");
            return;
        }
        state.values.insert(name.to_owned(), value);
        self.version.fetch_add(1, Ordering::Release);
        drop(state);
        match name {
            USER | PASSWORD => tracing::warn!("`{name}` changed: new connections use it"),
            _ => tracing::warn!(
                "`{name}` changed: clients that are made from now on use it, and this run's are made anew at its \
                 next start"
            ),
        }
    }

    /// One that stands in a file may be another one at any time.
    fn wants_token(&self) -> bool {
        let state = self.state();
        match (&self.source, &state.token) {
            (None, _) => false,
            (Some(TokenSource::Token(Secret::File(_))), _) | (_, None) => true,
            (Some(_), Some(token)) => clock::wall_ms() >= token.renew_after(),
        }
    }

    fn look_for_token(&self) -> Result<(), String> {
        let token = match &self.source {
            None => return Ok(()),
            Some(TokenSource::Token(secret)) => Token::read(&secret.read()?, None)?,
            Some(TokenSource::Endpoint(endpoint)) => ask(endpoint)?,
        };
        let mut state = self.state();
        let is_same = state.token.as_ref().is_some_and(|known| known.text == token.text);
        state.token = Some(token);
        if !is_same {
            self.version.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }
}

/// User and password, if one of them may change.
fn credentials(files: &BTreeMap<String, Secret>, texts: &BTreeMap<String, String>) -> Option<(String, String)> {
    let may_change = [USER, PASSWORD].iter().any(|name| files.contains_key(*name));
    may_change.then(|| Some((texts.get(USER)?.clone(), texts.get(PASSWORD)?.clone())))?
}

/// In a thread of its own: whoever asks may be in the middle of other waits of the same kind.
fn ask(endpoint: &Endpoint) -> Result<Token, String> {
    let endpoint = endpoint.clone();
    let asking = std::thread::Builder::new()
        .name("token".to_owned())
        .spawn(move || endpoint.ask())
        .map_err(|error| error.to_string())?;
    asking
        .join()
        .unwrap_or_else(|_| Err("the thread that asks is gone".to_owned()))
}

fn no_news(why: &str) {
    tracing::warn!("no new token for Kafka: {why}; the one that there is stays, and it is tried again");
}

fn failed(why: String) -> Error {
    Error::new(Kind::Kafka, "failed to get a token for Kafka", why)
        .hint("see the sasl.oauthbearer.* properties under [kafka.properties]")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::endpoint::Address;

    fn with_token(token: Secret) -> Login {
        Login::new(
            Some(TokenSource::Token(token)),
            Vec::new(),
            BTreeMap::new(),
            &BTreeMap::new(),
        )
    }

    #[test]
    fn what_changes_in_a_file_is_news_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "one").unwrap();
        let files = BTreeMap::from([("sasl.password".to_owned(), Secret::File(path.clone()))]);
        let texts = [(USER, "me"), (PASSWORD, "old")];
        let mut properties: BTreeMap<_, _> = texts.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let login = Login::new(None, Vec::new(), files, &properties);
        login.renew(&mut properties);
        assert_eq!(properties["sasl.password"], "one");
        let seen = login.present().unwrap().unwrap().version;
        assert!(login.newer(seen).is_none());
        std::fs::write(&path, "two\n").unwrap();
        login.0.as_ref().unwrap().look();
        let news = login.newer(seen).unwrap();
        assert_eq!(news.credentials, Some(("me".to_owned(), "two".to_owned())));
        assert!(login.newer(news.version).is_none());
        // In the middle of being written anew it may be empty or gone for a moment.
        for moment in [Some(""), Some("\n"), None] {
            match moment {
                Some(text) => std::fs::write(&path, text).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            login.0.as_ref().unwrap().look();
            assert!(login.newer(news.version).is_none(), "{moment:?}");
            login.renew(&mut properties);
            assert_eq!(properties["sasl.password"], "two", "{moment:?}");
        }
        std::fs::write(&path, "three").unwrap();
        login.0.as_ref().unwrap().look();
        let news = login.newer(news.version).unwrap();
        assert_eq!(news.credentials, Some(("me".to_owned(), "three".to_owned())));
    }

    #[test]
    fn what_a_file_holds_after_an_empty_first_look_is_news() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let files = BTreeMap::from([(PASSWORD.to_owned(), Secret::File(path.clone()))]);
        let texts = [(USER, "me"), (PASSWORD, "old")];
        let mut properties: BTreeMap<_, _> = texts.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let login = Login::new(None, Vec::new(), files, &properties);
        // What stands there as it did when the pipeline was read is none.
        for text in ["", "old"] {
            std::fs::write(&path, text).unwrap();
            login.renew(&mut properties);
            assert_eq!(properties[PASSWORD], "old", "{text:?}");
        }
        let seen = login.present().unwrap().unwrap().version;
        assert_eq!(seen, 0);
        std::fs::write(&path, "new").unwrap();
        login.0.as_ref().unwrap().look();
        let news = login.newer(seen).unwrap();
        assert_eq!(news.credentials, Some(("me".to_owned(), "new".to_owned())));
    }

    #[test]
    fn nobody_waits_for_another_token_while_one_is_good() {
        // It takes connections and never answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = Endpoint {
            url: Address(format!("http://{}/token", silent.local_addr().unwrap())),
            client_id: Secret::Text("me".into()),
            client_secret: Secret::Text("hunter2".into()),
            scope: None,
            trusted: None,
        };
        let source = Some(TokenSource::Endpoint(endpoint));
        let login = Login::new(source, Vec::new(), BTreeMap::new(), &BTreeMap::new());
        let shared = login.0.as_ref().unwrap();
        let mut token = Token::read("old", Some(Duration::from_secs(3600))).unwrap();
        token.since -= 24 * 3600 * 1000;
        shared.state().token = Some(token);
        let present = login.present().unwrap().unwrap();
        assert_eq!(present.token.unwrap().text, "old");
        assert!(
            shared.is_looking.load(Ordering::Relaxed),
            "no look was begun, or it was waited for"
        );
        drop(silent);
        let is_done = || !shared.is_looking.load(Ordering::Relaxed);
        assert!(!clock::sleep_unless(Duration::from_secs(60), is_done), "it looks still");
        assert_eq!(login.present().unwrap().unwrap().token.unwrap().text, "old");
    }

    #[test]
    fn a_token_from_a_file_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let login = with_token(Secret::File(path.clone()));
        let error = login.present().err().unwrap();
        assert_eq!(error.what, "failed to get a token for Kafka");
        std::fs::write(&path, "one").unwrap();
        let first = login.present().unwrap().unwrap();
        assert_eq!(first.token.unwrap().text, "one");
        std::fs::write(&path, "two").unwrap();
        login.0.as_ref().unwrap().look();
        assert_eq!(login.newer(first.version).unwrap().token.unwrap().text, "two");
    }

    #[test]
    fn clusters_are_the_same_where_clients_sign_in_the_same_way() {
        let of = |text: &str| with_token(Secret::Text(text.into()));
        assert!(of("a") == of("a") && of("a") != of("b") && of("a") != Login::default());
        assert!(Login::default() == Login::new(None, Vec::new(), BTreeMap::new(), &BTreeMap::new()));
    }
}
