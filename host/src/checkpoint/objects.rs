//! Objects in a folder or a bucket, behind blocking calls: the one place that knows `object_store`.
//!
//! Everything is carried out by a thread of its own; a caller waits for the answer or goes on and asks later. A
//! folder's writes are on the disk (file and folder synced) when they are answered.

use std::future::Future;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Error as StoreError, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig,
    WriteMultipart,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::config::Location;
use crate::error::{Error, Kind, Result};
use crate::kill;

/// A piece of a large object: what is written or read at once.
pub(super) const PIECE: u64 = 8 << 20;
/// For how long a request is tried again that failed for a passing reason: a full server, a lost connection.
const PATIENCE: Duration = Duration::from_secs(15);

/// An object as a listing has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ListedObject {
    /// Its path below the listed folder.
    pub(super) name: String,
    /// Its bytes.
    pub(super) length: u64,
    /// When it was written, in milliseconds since 1970 by the store's own clock.
    pub(super) modified: i64,
}

/// The objects of one place.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    driver: Arc<Driver>,
    /// As the person wrote it, for errors.
    place: Arc<str>,
    /// The folder, if it is one.
    folder: Option<PathBuf>,
}

/// The thread that everything runs on; it ends with the last that holds it.
#[derive(Debug)]
struct Driver {
    handle: Handle,
    /// Dropped with the driver, which ends the thread.
    _alive: oneshot::Sender<()>,
}

impl Objects {
    /// Opens a place without asking it anything; a folder is made if there is none.
    pub(super) fn open(location: &Location) -> Result<Self> {
        let place: Arc<str> = location.to_string().into();
        let store: Arc<dyn ObjectStore> = match location {
            Location::Folder(path) => Arc::new(folder(path)?),
            Location::S3 {
                bucket,
                prefix,
                properties,
            } => {
                let bucket = bucket_of(&place, bucket, properties)?;
                Arc::new(object_store::prefix::PrefixStore::new(bucket, path(prefix)))
            }
        };
        let driver = Driver::start().map_err(|error| {
            Error::new(
                Kind::Failed,
                format!("failed to open checkpoint store `{place}`"),
                error,
            )
        })?;
        Ok(Self {
            store,
            driver: Arc::new(driver),
            place,
            folder: match location {
                Location::Folder(path) => Some(path.clone()),
                Location::S3 { .. } => None,
            },
        })
    }

    /// The place, as a person wrote it.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Whether another has the same place, so that objects can be copied within it.
    pub(super) fn is_same_place(&self, other: &Objects) -> bool {
        Arc::ptr_eq(&self.store, &other.store)
    }

    /// Begins something; the receiver gets its answer.
    pub(super) fn begin<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Receiver<T> {
        let (answer, receiver) = mpsc::sync_channel(1);
        self.driver.handle.spawn(async move {
            // Whoever asked may have gone on.
            let _ = answer.send(work.await);
        });
        receiver
    }

    /// Begins something that waits and computes, beside the thread that everything else runs on.
    pub(super) fn begin_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (answer, receiver) = mpsc::sync_channel(1);
        self.driver.handle.spawn_blocking(move || {
            let _ = answer.send(work());
        });
        receiver
    }

    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::Generic {
            store: "checkpoint",
            source: "the thread that talks to it is gone".into(),
        };
        self.begin(work).recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Writes an object that is not there yet, and reads it back: durable and the same when this says so.
    pub(super) fn create(&self, name: String, bytes: Bytes) -> impl Future<Output = Result<()>> + Send + use<> {
        let this = self.clone();
        async move {
            let to = path(&name);
            let options = PutOptions::from(PutMode::Create);
            let (store, at, payload) = (this.store.clone(), to.clone(), bytes.clone());
            let put = tokio::spawn(async move { store.put_opts(&at, payload.into(), options).await });
            // The write has begun by now, and may be anywhere.
            tokio::task::yield_now().await;
            kill::point("mid-bundle");
            let put = put.await.unwrap_or_else(|error| Err(error.into()));
            match put {
                // An answer that was lost and asked for again: what is there decides.
                Ok(_) | Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {}
                Err(error) => return Err(this.failed("write", &name, &error)),
            }
            let read = async { this.store.get(&to).await?.bytes().await }.await;
            let read = read.map_err(|error| this.failed("read back", &name, &error))?;
            if read != bytes {
                return Err(this.damaged(&name, "what was read back is not what was written"));
            }
            kill::point("after-bundle");
            Ok(())
        }
    }

    /// Writes an object, or writes it anew, and reads it back.
    pub(super) fn put(&self, name: &str, bytes: Bytes) -> Result<()> {
        let (store, to, payload) = (self.store.clone(), path(name), bytes.clone());
        let back = self.wait(async move {
            store.put(&to, payload.into()).await?;
            store.get(&to).await?.bytes().await
        });
        let back = back.map_err(|error| self.failed("write", name, &error))?;
        match back == bytes {
            true => Ok(()),
            false => Err(self.damaged(name, "what was read back is not what was written")),
        }
    }

    /// A whole object; `None`: it is not there.
    pub(super) fn get(&self, name: &str) -> Result<Option<Bytes>> {
        let (store, from) = (self.store.clone(), path(name));
        self.found(
            "read",
            name,
            self.wait(async move { store.get(&from).await?.bytes().await }),
        )
    }

    /// The object's first bytes, `length` at most, and how many it has in all; `None`: it is not there.
    pub(super) fn start(&self, name: &str, length: u64) -> Result<Option<(Bytes, u64)>> {
        let (store, from) = (self.store.clone(), path(name));
        let read = self.wait(async move {
            let options = GetOptions::new().with_range(Some(GetRange::Bounded(0..length)));
            let got = store.get_opts(&from, options).await?;
            let total = got.meta.size;
            Ok((got.bytes().await?, total))
        });
        self.found("read", name, read)
    }

    /// Begins to read a range of an object.
    pub(super) fn begin_range(&self, name: &str, range: Range<u64>) -> Receiver<Result<Bytes>> {
        let (this, name) = (self.clone(), name.to_owned());
        self.begin(async move {
            if range.is_empty() {
                return Ok(Bytes::new());
            }
            let read = this.store.get_range(&path(&name), range).await;
            read.map_err(|error| match error {
                StoreError::NotFound { .. } => this.missing(&name),
                error => this.failed("read", &name, &error),
            })
        })
    }

    /// A range of an object that has to be there.
    pub(super) fn range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let gone = |_| Err(self.damaged(name, "the thread that reads it is gone"));
        self.begin_range(name, range).recv().unwrap_or_else(gone)
    }

    /// Its length and time of writing; `None`: it is not there.
    pub(super) fn look(&self, name: &str) -> Result<Option<ListedObject>> {
        let (store, from) = (self.store.clone(), path(name));
        let head = self.wait(async move { store.head(&from).await });
        let head = self.found("look up", name, head)?;
        Ok(head.map(|meta| ListedObject {
            name: name.to_owned(),
            length: meta.size,
            modified: meta.last_modified.timestamp_millis(),
        }))
    }

    /// The objects right below a folder, by name.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<ListedObject>> {
        let found = self.list_all(folder)?;
        let mut listed: Vec<ListedObject> = (found.objects.into_iter())
            .filter_map(|meta| {
                Some(ListedObject {
                    name: meta.location.filename()?.to_owned(),
                    length: meta.size,
                    modified: meta.last_modified.timestamp_millis(),
                })
            })
            .collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    /// The names of the folders right below a folder.
    pub(super) fn folders(&self, folder: &str) -> Result<Vec<String>> {
        let found = self.list_all(folder)?;
        let names = found.common_prefixes.iter().filter_map(|path| path.filename());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        Ok(names)
    }

    fn list_all(&self, folder: &str) -> Result<object_store::ListResult> {
        let (store, below) = (self.store.clone(), path(folder));
        let found = self.wait(async move { store.list_with_delimiter(Some(&below)).await });
        found.map_err(|error| self.failed("list", folder, &error))
    }

    /// Deletes an object; one that is not there is as good.
    pub(super) fn delete(&self, name: &str) -> Result<()> {
        let (store, at) = (self.store.clone(), path(name));
        let deleted = self.wait(async move { store.delete(&at).await });
        self.found("delete", name, deleted).map(|_| ())
    }

    /// Deletes what writes and deletions leave in folders, if it is older than a moment: halves of objects that a
    /// crash cut short, and folders that are empty. A bucket keeps such things out of sight. What cannot be deleted
    /// stays for the next time.
    pub(super) fn sweep(&self, folders: &[String], older_than: i64) {
        let Some(root) = &self.folder else { return };
        let entries = folders
            .iter()
            .filter_map(|folder| std::fs::read_dir(root.join(folder)).ok());
        for entry in entries.flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = metadata.modified().ok();
            let since = modified.and_then(|modified| modified.duration_since(std::time::UNIX_EPOCH).ok());
            if since.is_none_or(|since| since.as_millis() as i64 >= older_than) {
                continue;
            }
            let name = entry.file_name();
            let number = name
                .to_str()
                .and_then(|name| name.rsplit_once('#'))
                .map(|(_, number)| number);
            if metadata.is_dir() {
                // One that is not empty refuses.
                let _ = std::fs::remove_dir(entry.path());
            } else if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Copies an object within its place, without its bytes coming here.
    pub(super) fn copy(&self, from: &str, to: &str) -> Result<()> {
        let (store, source, target) = (self.store.clone(), path(from), path(to));
        let copied = self.wait(async move { store.copy(&source, &target).await });
        copied.map_err(|error| match error {
            StoreError::NotFound { .. } => self.missing(from),
            error => self.failed("copy", from, &error),
        })
    }

    /// Writes an object piece by piece; `next` gives a piece, an empty one at the end. Returns how many bytes it got.
    pub(super) fn stream(&self, name: &str, mut next: impl FnMut() -> Result<Bytes>) -> Result<u64> {
        let first = next()?;
        if (first.len() as u64) < PIECE {
            let length = first.len() as u64;
            let rest = next()?;
            let whole = if rest.is_empty() {
                first
            } else {
                [first, rest].concat().into()
            };
            let length = length.max(whole.len() as u64);
            return self.put(name, whole).map(|()| length);
        }
        let failed = |error: &StoreError| self.failed("write", name, error);
        let (store, to) = (self.store.clone(), path(name));
        let upload = self.wait(async move { store.put_multipart(&to).await });
        let mut writer = WriteMultipart::new_with_chunk_size(upload.map_err(|error| failed(&error))?, PIECE as usize);
        let (mut piece, mut length) = (first, 0);
        while !piece.is_empty() {
            length += piece.len() as u64;
            let put = self.wait(async move {
                writer.wait_for_capacity(2).await?;
                writer.put(piece);
                Ok(writer)
            });
            writer = put.map_err(|error| failed(&error))?;
            piece = match next() {
                Ok(piece) => piece,
                Err(error) => {
                    // The error that is told is the reader's.
                    let _ = self.wait(async move { writer.abort().await });
                    return Err(error);
                }
            };
        }
        self.wait(async move { writer.finish().await })
            .map_err(|error| failed(&error))?;
        match self.look(name)? {
            Some(found) if found.length == length => Ok(length),
            found => {
                let found = found.map_or(0, |found| found.length);
                Err(self.damaged(name, &format!("it has {found} bytes, and {length} were written")))
            }
        }
    }

    fn found<T>(&self, verb: &str, name: &str, result: Result<T, StoreError>) -> Result<Option<T>> {
        match result {
            Ok(found) => Ok(Some(found)),
            // A bucket that is missing is no missing object.
            Err(StoreError::NotFound { ref source, .. }) if !source_text(source.as_ref()).contains("NoSuchBucket") => {
                Ok(None)
            }
            Err(error) => Err(self.failed(verb, name, &error)),
        }
    }

    /// An object that has to be there is not.
    pub(super) fn missing(&self, name: &str) -> Error {
        Error::new(
            Kind::Corrupt,
            format!("object `{name}` is missing in checkpoint store `{}`", self.place),
            "the store holds no object of that name: it was deleted, or the store is another one",
        )
        .hint(WHAT_CAN_BE_DONE)
    }

    /// An object is there and not what it has to be.
    pub(super) fn damaged(&self, name: &str, flaw: &str) -> Error {
        let what = format!("object `{name}` in checkpoint store `{}` is damaged", self.place);
        Error::new(Kind::Corrupt, what, flaw).hint(WHAT_CAN_BE_DONE)
    }

    fn failed(&self, verb: &str, name: &str, error: &StoreError) -> Error {
        let what = format!("failed to {verb} `{name}` in checkpoint store `{}`", self.place);
        let why = source_text(error);
        let failed = Error::new(Kind::Corrupt, what, &why);
        let hint = match error {
            _ if why.contains("NoSuchBucket") => "create the bucket, or set `store` of [checkpoint]",
            StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
                "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or [checkpoint.properties], and what they may do"
            }
            _ if why.starts_with("the server answered 5") => "the server is overloaded or broken: try again later",
            _ if why.contains("No space left") => "make room: nothing is lost, the last checkpoint stands",
            _ => return failed,
        };
        failed.hint(hint)
    }
}

/// What a person can do about state that is gone.
pub(super) const WHAT_CAN_BE_DONE: &str = "put the object back; or start from a savepoint, `sandbar run --from \
    SAVEPOINT`; or give the state up: `sandbar offsets set PIPELINE --to …` begins at the positions that it is \
    given, with no state";

impl Driver {
    fn start() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel::<()>();
        std::thread::Builder::new().name("checkpoints".into()).spawn(move || {
            // An error is the only answer: it says that the sender is gone.
            let _ = runtime.block_on(ended);
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, _alive: alive })
    }
}

fn folder(path: &FilePath) -> Result<LocalFileSystem> {
    let failed = |error: &dyn std::fmt::Display| {
        let what = format!("checkpoint store `{}` is not writable", path.display());
        Error::new(Kind::Corrupt, what, error).hint("give a folder that this user may write in")
    };
    std::fs::create_dir_all(path).map_err(|error| failed(&error))?;
    let folder = LocalFileSystem::new_with_prefix(path).map_err(|error| failed(&source_text(&error)))?;
    Ok(folder.with_fsync(true))
}

fn bucket_of(
    place: &str,
    bucket: &str,
    properties: &std::collections::BTreeMap<String, String>,
) -> Result<object_store::aws::AmazonS3> {
    let what = || format!("checkpoint store `{place}` cannot be opened");
    // Among the variables is AWS_ALLOW_HTTP; the tests' own server has no certificate.
    let mut builder = AmazonS3Builder::from_env();
    if cfg!(test) {
        builder = builder.with_allow_http(true);
    }
    for (name, value) in properties {
        let wrong = |why: &str| {
            Error::new(
                Kind::Invalid,
                what(),
                format!("`{name}` in `checkpoint.properties` {why}"),
            )
        };
        match name.to_ascii_lowercase().trim_start_matches("aws_") {
            "bucket" | "bucket_name" => return Err(wrong("is set by `store`")),
            "allow_http" => return Err(wrong("is taken from the variable AWS_ALLOW_HTTP only")),
            _ => {}
        }
        let key = name.to_ascii_lowercase().parse();
        builder = builder.with_config(key.map_err(|_| wrong("is no setting of an S3 store"))?, value);
    }
    let retry = RetryConfig {
        retry_timeout: PATIENCE,
        ..RetryConfig::default()
    };
    let built = builder.with_bucket_name(bucket).with_retry(retry).build();
    built.map_err(|error| Error::new(Kind::Invalid, what(), source_text(&error)))
}

/// Why, in one sentence: what the server said, or the innermost cause.
fn source_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let between = |open: &str, close: &str| Some(text.split_once(open)?.1.split_once(close)?.0.to_owned());
    let said = match (between("<Code>", "</Code>"), between("<Message>", "</Message>")) {
        (Some(code), Some(message)) => format!("{code}, {message}"),
        (Some(code), None) => code,
        _ => String::new(),
    };
    let Some(status) = between("non-2xx status code: ", ":") else {
        return if said.is_empty() { text } else { said };
    };
    match said.as_str() {
        "" => format!("the server answered {status}"),
        said => format!("the server answered {status}: {said}"),
    }
}

/// A path of our own making: its parts hold what needs no escape, or get one.
fn path(name: &str) -> Path {
    name.split('/').filter(|part| !part.is_empty()).collect()
}
