//! Questions about a pipeline: a verb of the program over the pipeline's folder, in a process of its own, under the
//! tenant's grant.
//!
//! Never takes a word of a request for an option or a file: each stands behind its option's `=` or behind `--`. Always:
//! a process ends with whoever waits for it, or at its limit; what it says is read up to a limit; few run at once; a
//! pipeline is not deleted under one, and none is asked about a pipeline that is about to be deleted.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::told::told;
use crate::grant::Grant;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Processes at once, of all tenants.
const AT_ONCE: usize = 4;
/// All that a door has.
const WHOLE_DOOR: u32 = AT_ONCE as u32;
/// Questions of a tenant that wait for the one before, at most.
const MOST_WAITING: usize = 16;
/// Bytes of an answer, at most.
const ANSWER_BYTES: usize = 8 << 20;
/// Bytes at the end of what a process says of errors.
const LAST_WORDS: usize = 64 << 10;
/// Bytes of a word of a request, at most: the system takes twice as many for an argument.
const WORD_BYTES: usize = 64 << 10;
/// The pipeline file that a question is about, and what the question needs besides, in the pipeline's folder.
const ASKED_FILE: &str = "asked.toml";
const ASKED_FOLDER: &str = "asked";
/// What a file of a question is called there.
const CONTENT: &str = "content.json";

/// A verb of the program, with what is asked of it.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    verb: &'static [&'static str],
    /// Whether it is about a pipeline file.
    has_file: bool,
    options: Vec<String>,
    subjects: Vec<String>,
    /// The content of a file that an option names.
    file: Option<String>,
    /// The exit code with which the verb says that what was asked for is not there.
    absent: Option<i32>,
}

/// What a verb said.
#[derive(Debug)]
pub(crate) struct Answered {
    /// Each thing that it printed.
    pub(crate) values: Vec<Value>,
    /// Why it ended with an error, if it did.
    pub(crate) problem: Option<Problem>,
}

impl Question {
    /// A verb about a pipeline file.
    pub(crate) fn new(verb: &'static [&'static str]) -> Self {
        Self {
            verb,
            has_file: true,
            options: Vec::new(),
            subjects: Vec::new(),
            file: None,
            absent: None,
        }
    }

    /// A verb about the machine.
    pub(crate) fn of_machine(verb: &'static [&'static str]) -> Self {
        Self {
            has_file: false,
            ..Self::new(verb)
        }
    }

    /// With an option that has no value.
    #[must_use]
    pub(crate) fn flag(mut self, option: &'static str, is_set: bool) -> Self {
        self.options.extend(is_set.then(|| option.to_owned()));
        self
    }

    /// With an option that has this value.
    #[must_use]
    pub(crate) fn option(mut self, option: &'static str, value: impl fmt::Display) -> Self {
        self.options.push(format!("{option}={value}"));
        self
    }

    /// With an option that names a file, which has this content.
    #[must_use]
    pub(crate) fn file(self, option: &'static str, content: String) -> Self {
        Self {
            file: Some(content),
            ..self.option(option, format!("{ASKED_FOLDER}/{CONTENT}"))
        }
    }

    /// About this of the pipeline.
    #[must_use]
    pub(crate) fn about(mut self, subject: impl fmt::Display) -> Self {
        self.subjects.push(subject.to_string());
        self
    }

    /// Ends with this exit code if what it is about is not there.
    #[must_use]
    pub(crate) fn absent(mut self, code: i32) -> Self {
        self.absent = Some(code);
        self
    }

    fn what(&self) -> String {
        format!("failed to ask `sandbar {}`", self.verb.join(" "))
    }

    /// The words of the command line.
    fn words(&self) -> Result<Vec<&str>> {
        let asked = self.options.iter().chain(&self.subjects).map(String::as_str);
        for word in asked.clone() {
            let why = match (word.len() > WORD_BYTES, word.contains('\0')) {
                (true, _) => format!("a word of it has more than {WORD_BYTES} bytes"),
                (_, true) => "a word of it has a zero byte".to_owned(),
                _ => continue,
            };
            return Err(Problem::new(ProblemKind::Invalid, self.what(), why));
        }
        let (options, subjects) = (self.options.iter(), self.subjects.iter());
        let fixed = ["--granted", "-o", "json"];
        let words = self.verb.iter().copied().chain(fixed);
        let words = words.chain(options.map(String::as_str));
        if !self.has_file {
            return Ok(words.collect());
        }
        let words = words.chain(["--", ASKED_FILE]);
        Ok(words.chain(subjects.map(String::as_str)).collect())
    }

    fn kind_of(&self, code: i32) -> ProblemKind {
        match code {
            code if Some(code) == self.absent => ProblemKind::NotFound,
            2 | 3 => ProblemKind::Invalid,
            4 => ProblemKind::PluginRefused,
            5 | 9 => ProblemKind::Unavailable,
            1 | 6 | 7 | 8 | 10 => ProblemKind::Conflict,
            _ => ProblemKind::Failed,
        }
    }
}

impl Answered {
    /// All that it printed, if it ended well.
    ///
    /// # Errors
    /// Why it did not.
    pub(crate) fn all(self) -> Result<Vec<Value>> {
        match self.problem {
            Some(problem) => Err(problem),
            None => Ok(self.values),
        }
    }

    /// The one thing that it printed; nothing if it printed none.
    ///
    /// # Errors
    /// Why it did not end well.
    pub(crate) fn one(self) -> Result<Value> {
        Ok(self.all()?.into_iter().next().unwrap_or_default())
    }
}

/// Lets questions into the folder of a pipeline. Clones are the same.
#[derive(Debug, Clone)]
pub(in crate::fleet) struct AskDoor(Arc<Semaphore>);

impl Default for AskDoor {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl AskDoor {
    /// Comes back when no question is in the folder, and none comes in any more.
    pub(in crate::fleet) async fn close(&self) {
        let _all = self.0.acquire_many(WHOLE_DOOR).await;
        self.0.close();
    }
}

/// Where a question is asked.
pub(in crate::fleet) struct AskedPlace {
    pub(in crate::fleet) program: PathBuf,
    pub(in crate::fleet) folder: PathBuf,
    pub(in crate::fleet) door: AskDoor,
    pub(in crate::fleet) grant: Grant,
    /// The pipeline file.
    pub(in crate::fleet) file: String,
}

/// Who may ask when.
#[derive(Debug)]
pub(in crate::fleet) struct AskPermits {
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<Name, Arc<Semaphore>>>,
}

impl Default for AskPermits {
    fn default() -> Self {
        Self {
            all: Arc::new(Semaphore::new(AT_ONCE)),
            tenants: Mutex::default(),
        }
    }
}

impl AskPermits {
    /// Asks, when it is this question's turn: so long it waits at most, and so long its process runs at most.
    pub(in crate::fleet) async fn ask(
        &self,
        place: AskedPlace,
        question: &Question,
        limit: Duration,
    ) -> Result<Answered> {
        let words = question.words()?.into_iter().map(str::to_owned).collect();
        let _turn = self.turn(&place.grant.tenant, question, limit).await?;
        let Ok(inside) = Arc::clone(&place.door.0).acquire_owned().await else {
            let why = format!("pipeline `{}` is deleted", place.grant.pipeline);
            return Err(Problem::new(ProblemKind::NotFound, question.what(), why));
        };
        let failed = |why: String| Problem::new(ProblemKind::Failed, question.what(), why);
        // A task of its own, which sees its process end and lets nobody else into the folder before, whoever waits.
        let (_somebody_waits, nobody_waits) = oneshot::channel();
        let run = run(place, words, question.file.clone(), (limit, nobody_waits), inside);
        let ran = tokio::spawn(run).await.map_err(|error| failed(error.to_string()))?;
        let (code, said) = ran.map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => {
                Problem::new(ProblemKind::TooLarge, question.what(), error).hint("ask for less")
            }
            io::ErrorKind::TimedOut => Problem::new(ProblemKind::Unavailable, question.what(), error),
            _ => failed(error.to_string()),
        })?;
        let problem = match code {
            Some(0) => None,
            Some(code) => {
                let kind = question.kind_of(code);
                let without = || Problem::new(kind, question.what(), format!("it ended with exit code {code}"));
                Some(told(&said.errors, kind).unwrap_or_else(without))
            }
            None => Some(failed("it took more CPU or memory than a question may".to_owned())),
        };
        let values = serde_json::Deserializer::from_str(&said.answer).into_iter().collect();
        match (values, problem) {
            (Ok(values), problem) => Ok(Answered { values, problem }),
            (Err(_), Some(problem)) => Err(problem),
            (Err(error), None) => Err(failed(format!("what it said is no JSON: {error}"))),
        }
    }

    /// Waits for the turn of a tenant's question.
    async fn turn(&self, tenant: &Name, question: &Question, limit: Duration) -> Result<AskTurn<'_>> {
        let too_many = |why: String| {
            Problem::new(ProblemKind::TooMany, question.what(), why).hint("ask again when the others are answered")
        };
        let (turn, own) = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            let one = || Arc::new(Semaphore::new(1));
            let own = Arc::clone(tenants.entry(tenant.clone()).or_insert_with(one));
            // The map has one, and so has each that waits or asks.
            if Arc::strong_count(&own) > MOST_WAITING + 2 {
                return Err(too_many(format!("{MOST_WAITING} others of the tenant wait")));
            }
            (AskTurn::new(self, tenant), own)
        };
        let both = async {
            let own = own.acquire_owned().await.ok()?;
            Some((own, Arc::clone(&self.all).acquire_owned().await.ok()?))
        };
        match tokio::time::timeout(limit, both).await {
            Ok(Some(permits)) => Ok(turn.with(permits)),
            _ => Err(too_many(format!("others took more than {limit:?}"))),
        }
    }
}

/// A turn, which ends with it.
struct AskTurn<'a> {
    asks: &'a AskPermits,
    tenant: Name,
    permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl<'a> AskTurn<'a> {
    fn new(asks: &'a AskPermits, tenant: &Name) -> Self {
        Self {
            asks,
            tenant: tenant.clone(),
            permits: None,
        }
    }

    fn with(mut self, permits: (OwnedSemaphorePermit, OwnedSemaphorePermit)) -> Self {
        self.permits = Some(permits);
        self
    }
}

impl Drop for AskTurn<'_> {
    fn drop(&mut self) {
        drop(self.permits.take());
        let mut tenants = self.asks.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.get(&self.tenant).is_some_and(|own| Arc::strong_count(own) == 1) {
            tenants.remove(&self.tenant);
        }
    }
}

/// What a process said.
struct SaidByProcess {
    answer: String,
    errors: String,
}

/// Runs the verb; its exit code, if no signal ended it. Nothing of it runs any more when this comes back.
async fn run(
    place: AskedPlace,
    words: Vec<String>,
    content: Option<String>,
    (limit, nobody_waits): (Duration, oneshot::Receiver<()>),
    _inside: OwnedSemaphorePermit,
) -> io::Result<(Option<i32>, SaidByProcess)> {
    let folder = place.folder.join(ASKED_FOLDER);
    match tokio::fs::remove_dir_all(&folder).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => tokio::fs::create_dir(&folder).await?,
    }
    tokio::fs::write(place.folder.join(ASKED_FILE), &place.file).await?;
    if let Some(content) = content {
        tokio::fs::write(folder.join(CONTENT), content).await?;
    }
    let mut child = Command::new(&place.program)
        .args(words)
        .current_dir(&place.folder)
        .env_clear()
        .env("TMPDIR", &folder)
        .stdin(Stdio::from(place.grant.hand_over()?))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let said = tokio::select! {
        said = all_said(&mut child, &place.grant) => said,
        () = tokio::time::sleep(limit) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("it took more than {limit:?}")))
        }
        _ = nobody_waits => Err(io::Error::other("nobody waits for it")),
    };
    // One that was waited for has no number any more.
    if child.id().is_some() {
        child.kill().await?;
    }
    said
}

/// All that a process says until its end.
async fn all_said(child: &mut Child, grant: &Grant) -> io::Result<(Option<i32>, SaidByProcess)> {
    let (Some(out), Some(errors)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(io::Error::other("it has no output"));
    };
    let (answer, errors) = tokio::try_join!(whole(out), end(errors))?;
    let said = SaidByProcess {
        answer: grant.told(String::from_utf8_lossy(&answer).into_owned()),
        errors: grant.told(errors),
    };
    Ok((child.wait().await?.code(), said))
}

/// All that is said, if it is not too much.
async fn whole(from: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    from.take(ANSWER_BYTES as u64 + 1).read_to_end(&mut said).await?;
    match said.len() > ANSWER_BYTES {
        true => {
            let why = format!("its answer has more than {ANSWER_BYTES} bytes");
            Err(io::Error::new(io::ErrorKind::FileTooLarge, why))
        }
        false => Ok(said),
    }
}

/// The end of what is said, however much it is.
async fn end(mut from: impl AsyncRead + Unpin) -> io::Result<String> {
    let (mut said, mut block) = (Vec::new(), vec![0; LAST_WORDS]);
    loop {
        let count = from.read(&mut block).await?;
        if count == 0 {
            return Ok(String::from_utf8_lossy(&said).into_owned());
        }
        said.extend_from_slice(block.get(..count).unwrap_or_default());
        let too_much = said.len().saturating_sub(LAST_WORDS);
        said.drain(..too_much);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_request_is_an_option_or_a_file() {
        let question = Question::new(&["state", "scan"])
            .option("--prefix", "--set=a=b")
            .flag("--stored", false)
            .flag("--base64", true)
            .about("--operator")
            .about("-");
        let words = [
            "state",
            "scan",
            "--granted",
            "-o",
            "json",
            "--prefix=--set=a=b",
            "--base64",
            "--",
            "asked.toml",
            "--operator",
            "-",
        ];
        assert_eq!(question.words().unwrap(), words);
        for wrong in ["a\0b".to_owned(), "x".repeat(WORD_BYTES + 1)] {
            let problem = Question::new(&["state", "get"]).about(wrong).words().unwrap_err();
            assert_eq!(problem.kind, ProblemKind::Invalid);
        }
    }

    #[tokio::test]
    async fn a_tenant_asks_one_after_the_other_and_nothing_is_left_of_who_asked() {
        let asks = AskPermits::default();
        let (alpha, bravo): (Name, Name) = ("alpha".parse().unwrap(), "bravo".parse().unwrap());
        let (question, short) = (Question::new(&["doctor"]), Duration::from_millis(20));
        let first = asks.turn(&alpha, &question, short).await.unwrap();
        let other = asks.turn(&bravo, &question, short).await.unwrap();
        let late = asks.turn(&alpha, &question, short).await.err().unwrap();
        assert_eq!(late.kind, ProblemKind::TooMany);
        let long = Duration::from_secs(60);
        let waiting: Vec<_> = (0..MOST_WAITING).map(|_| asks.turn(&alpha, &question, long)).collect();
        let mut waiting = futures_util::future::join_all(waiting);
        let polled = tokio::time::timeout(short, &mut waiting).await;
        assert!(polled.is_err());
        let refused = asks.turn(&alpha, &question, long).await.err().unwrap();
        assert_eq!(refused.kind, ProblemKind::TooMany, "without waiting");
        drop((first, other, waiting));
        assert!(asks.turn(&alpha, &question, short).await.is_ok());
        assert!(asks.tenants.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_end_of_what_is_said_is_kept_however_much_it_is() {
        let text = "x".repeat(3 * LAST_WORDS) + "last";
        let said = end(text.as_bytes()).await.unwrap();
        assert!(said.len() <= LAST_WORDS && said.ends_with("last"));
        let much = vec![b'x'; ANSWER_BYTES + 1];
        assert_eq!(whole(&much[..]).await.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(whole(&much[1..]).await.unwrap().len(), ANSWER_BYTES);
    }
}
