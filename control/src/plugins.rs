//! The files of plugins in the data folder, by tenant and digest.
//!
//! Never loads or compiles one, and never shares one between tenants. Always: a file under its digest's name is whole,
//! on the disk, and begins as a component does; what broke off, or is not what was signed, leaves nothing.

use std::fmt;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;

use bytes::Bytes;
use futures_core::Stream;
use rustix::rand::GetRandomFlags;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncWriteExt as _, BufWriter};

use crate::means::{SignatureCheck, Signed, exceeded};
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of a plugin, at most.
const MOST_BYTES: u64 = 64 << 20;
/// Bytes that are gathered before they are written.
const BUFFER: usize = 256 << 10;
/// What a file of a plugin that is still coming in begins with.
const COMING: &str = ".coming-";
/// The folder of a tenant's plugins, in the tenant's.
const PLUGINS: &str = "plugins";
/// How every component begins.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// What failed, in every problem here.
const WHAT: &str = "failed to take the plugin";

/// The files of all tenants' plugins; cheap to clone.
#[derive(Debug, Clone)]
pub struct PluginFiles {
    folder: PathBuf,
}

impl PluginFiles {
    /// Those in this folder, which has a folder of each tenant. Nothing is made yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The file of this plugin, if it was taken.
    pub fn path(&self, tenant: &Name, digest: &Digest) -> PathBuf {
        self.of_tenant(tenant).join(format!("{}.wasm", digest.hex()))
    }

    /// Takes a plugin's bytes as they come, at most 64 MiB and as many as the tenant's quota says, and says their
    /// digest and how many there are. The same bytes again lead to the same file. If they come signed, it is checked.
    ///
    /// # Errors
    ///
    /// `Invalid` if it is no component, or if what brings it breaks off; `TooLarge` if it is too long, `QuotaExceeded`
    /// if it is too long for the quota; `PluginRefused` if it is not what was signed; `Failed` if the file cannot be
    /// written.
    pub async fn take<E: fmt::Display>(
        &self,
        tenant: &Name,
        quota: Option<u64>,
        signed: Option<&Signed>,
        body: impl Stream<Item = std::result::Result<Bytes, E>>,
    ) -> Result<(Digest, i64)> {
        let folder = self.of_tenant(tenant);
        make_folder(folder.clone()).await.map_err(failed)?;
        let coming = Coming::begin(&folder)?;
        let file = File::from_std(coming.file.try_clone().map_err(failed)?);
        let mut file = BufWriter::with_capacity(BUFFER, file);
        let mut body = pin!(body);
        let mut hash = Sha256::new();
        let mut head = Head::default();
        let mut signature = signed.map(|signed| signed.check(WHAT)).transpose()?;
        let mut count: u64 = 0;
        while let Some(chunk) = std::future::poll_fn(|context| body.as_mut().poll_next(context)).await {
            let chunk =
                chunk.map_err(|why| Problem::new(ProblemKind::Invalid, WHAT, format!("it broke off: {why}")))?;
            count = count.saturating_add(chunk.len() as u64);
            check_size(tenant, count, quota)?;
            head.add(&chunk)?;
            hash.update(&chunk);
            signature.iter_mut().for_each(|check| check.add(&chunk));
            file.write_all(&chunk).await.map_err(failed)?;
        }
        head.end()?;
        signature.map(SignatureCheck::end).transpose()?;
        file.flush().await.map_err(failed)?;
        file.get_ref().sync_all().await.map_err(failed)?;
        let digest = Digest::of_hash(&hash.finalize());
        coming.end(self.path(tenant, &digest)).await.map_err(failed)?;
        Ok((digest, i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// Removes the file of a plugin that was taken and may not be kept.
    ///
    /// # Errors
    ///
    /// `Failed` if it cannot be removed.
    pub async fn remove(&self, tenant: &Name, digest: &Digest) -> Result<()> {
        let what = format!("failed to remove the plugin {digest} of {tenant}");
        let removed = tokio::fs::remove_file(self.path(tenant, digest)).await;
        removed.map_err(|error| Problem::new(ProblemKind::Failed, what, error))
    }

    /// Removes the files of a tenant's plugins, for one that was deleted.
    ///
    /// # Errors
    ///
    /// `Failed` if they cannot be removed.
    pub async fn forget(&self, tenant: &Name) -> Result<()> {
        let what = format!("failed to remove the plugins of {tenant}");
        match tokio::fs::remove_dir_all(self.of_tenant(tenant)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Problem::new(ProblemKind::Failed, what, error))
            }
            _ => Ok(()),
        }
    }

    /// Removes what was coming in when a daemon before this one was killed. Nothing may be coming in meanwhile.
    ///
    /// # Errors
    ///
    /// `Failed` if the folders cannot be read.
    pub async fn sweep(&self) -> Result<()> {
        let what = || format!("failed to sweep {}", self.folder.display());
        let folder = self.folder.clone();
        let swept = tokio::task::spawn_blocking(move || sweep(&folder)).await;
        swept
            .map_err(io::Error::other)
            .flatten()
            .map_err(|error| Problem::new(ProblemKind::Failed, what(), error))
    }

    fn of_tenant(&self, tenant: &Name) -> PathBuf {
        self.folder.join(tenant.as_str()).join(PLUGINS)
    }
}

/// What a process said, as its tenant may read it, whose folder is given: where the daemon has that is nobody else's to
/// know. A plugin's file is told as its digest, any other by its place in the folder.
pub(crate) fn without_place(said: String, folder: &Path) -> String {
    let place = format!("{}/", folder.display());
    // It may stand in a text of JSON, with signs that are written otherwise there.
    let quoted = serde_json::Value::from(place.as_str()).to_string();
    [place.as_str(), quoted.trim_matches('"')]
        .into_iter()
        .fold(said, |said, place| match said.contains(place) {
            true => leave_out(&said, place),
            false => said,
        })
}

fn leave_out(said: &str, place: &str) -> String {
    let mut pieces = said.split(place);
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |mut told, piece| {
        let (digest, rest) = plugin_in(piece).map_or((String::new(), piece), |(digest, rest)| (digest.into(), rest));
        told.push_str(&digest);
        told.push_str(rest);
        told
    })
}

/// The plugin whose file a text begins with, and what follows.
fn plugin_in(text: &str) -> Option<(Digest, &str)> {
    let (hex, rest) = text.strip_prefix(PLUGINS)?.strip_prefix('/')?.split_once(".wasm")?;
    Some((format!("sha256:{hex}").parse().ok()?, rest))
}

/// A file that is coming in, which is removed unless it comes to its end.
struct Coming {
    path: PathBuf,
    file: std::fs::File,
}

impl Coming {
    fn begin(folder: &Path) -> Result<Self> {
        let mut random = [0; 8];
        rustix::rand::getrandom(random.as_mut_slice(), GetRandomFlags::empty())
            .map_err(|error| failed(error.into()))?;
        let path = folder.join(format!("{COMING}{:016x}", u64::from_ne_bytes(random)));
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        Ok(Self { path, file })
    }

    /// Gives it its name, so that it is there after a power cut as well.
    async fn end(self, path: PathBuf) -> io::Result<()> {
        tokio::fs::rename(&self.path, &path).await?;
        match path.parent() {
            Some(folder) => File::open(folder).await?.sync_all().await,
            None => Ok(()),
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        // After its end it has another name.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The first bytes, as many as tell a component.
#[derive(Default)]
struct Head {
    bytes: Vec<u8>,
}

impl Head {
    fn add(&mut self, chunk: &[u8]) -> Result<()> {
        let left = COMPONENT.len() - self.bytes.len();
        if left == 0 {
            return Ok(());
        }
        self.bytes.extend(chunk.iter().take(left));
        match self.bytes.len() == COMPONENT.len() {
            true => self.end(),
            false => Ok(()),
        }
    }

    fn end(&self) -> Result<()> {
        let why = match self.bytes.as_slice() {
            bytes if bytes == COMPONENT => return Ok(()),
            [] => "it is empty".to_owned(),
            [b'\0', b'a', b's', b'm', 1, 0, 0, 0] => {
                "it is a core module of WebAssembly, and no WebAssembly component".to_owned()
            }
            [b'\0', b'a', b's', b'm', version @ ..] if version.len() == 4 => {
                format!("it is no WebAssembly component of a version that is known: {version:02x?}")
            }
            [0x7f, b'E', b'L', b'F', ..] => {
                "it is machine code (such as a .cwasm that was compiled before), and no WebAssembly component"
                    .to_owned()
            }
            // Its bytes are not shown: it may be a file of secrets.
            _ => "it is no WebAssembly component".to_owned(),
        };
        Err(Problem::new(ProblemKind::Invalid, WHAT, why)
            .hint("push the .wasm file that sandbar build makes: a component"))
    }
}

/// Whether so many bytes may be taken.
fn check_size(tenant: &Name, count: u64, quota: Option<u64>) -> Result<()> {
    if let Some(most) = quota.filter(|most| count > *most) {
        let why = format!("it has more bytes than {most}, which is the quota `plugin-bytes` of the tenant {tenant}");
        return Err(exceeded(WHAT, tenant, "plugin-bytes", why));
    }
    match count > MOST_BYTES {
        true => {
            let why = format!("it has more than {MOST_BYTES} bytes");
            let hint = "build it for release and strip its debug information";
            Err(Problem::new(ProblemKind::TooLarge, WHAT, why).hint(hint))
        }
        false => Ok(()),
    }
}

async fn make_folder(folder: PathBuf) -> io::Result<()> {
    tokio::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .await
}

fn sweep(folder: &Path) -> io::Result<()> {
    let tenants = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        tenants => tenants?,
    };
    for tenant in tenants {
        let files = match std::fs::read_dir(tenant?.path().join("plugins")) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            files => files?,
        };
        for file in files {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with(COMING) {
                std::fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

fn failed(error: io::Error) -> Problem {
    Problem::new(ProblemKind::Failed, WHAT, error)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::os::unix::fs::PermissionsExt as _;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;

    /// Chunks that are all there.
    struct Chunks(VecDeque<std::result::Result<Bytes, String>>);

    impl Stream for Chunks {
        type Item = std::result::Result<Bytes, String>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.pop_front())
        }
    }

    fn chunks(bytes: &[u8], size: usize) -> Chunks {
        Chunks(
            bytes
                .chunks(size)
                .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
                .collect(),
        )
    }

    fn tenant() -> Name {
        "a".parse().unwrap()
    }

    fn component(size: usize) -> Vec<u8> {
        let mut bytes = COMPONENT.to_vec();
        bytes.resize(size, 7);
        bytes
    }

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder.join("a/plugins")).map_or(0, Iterator::count)
    }

    #[test]
    fn where_the_daemon_has_a_file_is_not_told() {
        let hex = "ab".repeat(32);
        for folder in ["/data/tenants/team", "/a \"b\" \\/tenants/team"] {
            let said = |plugin: &str, other: &str| {
                let why = format!("failed to load plugin `{plugin}`: no `{other}`, and again {plugin}");
                [serde_json::json!({ "why": why }).to_string(), why]
            };
            let told = said(&format!("sha256:{hex}"), "code/x.code");
            let said = said(
                &format!("{folder}/plugins/{hex}.wasm"),
                &format!("{folder}/code/x.code"),
            );
            assert_eq!(said.map(|said| without_place(said, Path::new(folder))), told);
        }
        let other = format!("/data/tenants/teams/plugins/{hex}.wasm");
        assert_eq!(without_place(other.clone(), Path::new("/data/tenants/team")), other);
        let none = "/t/plugins/../../x.wasm".to_owned();
        assert_eq!(without_place(none, Path::new("/t")), "plugins/../../x.wasm");
    }

    #[tokio::test]
    async fn a_component_is_taken_whole_however_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = PluginFiles::new(folder.path());
        let bytes = component(100_000);
        let expected = Digest::of_hash(&Sha256::digest(&bytes));
        for size in [1, 7, 100_000] {
            // As a task: an interface's handler must be able to.
            let (taker, body) = (plugins.clone(), chunks(&bytes, size));
            let taken = tokio::spawn(async move { taker.take(&tenant(), None, None, body).await })
                .await
                .unwrap();
            assert_eq!(taken, Ok((expected.clone(), 100_000)));
            let path = plugins.path(&tenant(), &expected);
            assert_eq!(path, folder.path().join(format!("a/plugins/{}.wasm", expected.hex())));
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(files(folder.path()), 1);
        }
        let mode = std::fs::metadata(folder.path().join("a/plugins"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        plugins.forget(&tenant()).await.unwrap();
        plugins.forget(&tenant()).await.unwrap();
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn what_is_no_component_is_named_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = PluginFiles::new(folder.path());
        for (bytes, part) in [
            (&b""[..], "it is empty"),
            (b"\0asm\x01\0\0\0and more", "core module"),
            (
                b"\0asm\x0e\0\x01\0and more",
                "of a version that is known: [0e, 00, 01, 00]",
            ),
            (b"\x7fELF\x02\x01\x01\0\0\0\0", "machine code"),
            (b"\x7fELF", "machine code"),
            (b"(component)", "no WebAssembly component"),
            (b"\0asm\x0d\0\x01", "no WebAssembly component"),
        ] {
            for size in [1, 3, 64] {
                let refused = plugins
                    .take(&tenant(), None, None, chunks(bytes, size))
                    .await
                    .unwrap_err();
                assert_eq!(refused.kind, ProblemKind::Invalid);
                assert!(refused.to_string().contains(part), "{refused}");
            }
        }
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn what_breaks_off_or_is_too_long_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = PluginFiles::new(folder.path());
        let mut broken = chunks(&component(1000), 100);
        broken.0.push_back(Err("connection reset".to_owned()));
        let refused = plugins.take(&tenant(), None, None, broken).await.unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Invalid);
        assert!(refused.why.contains("it broke off: connection reset"), "{refused}");

        let largest = component(MOST_BYTES as usize);
        assert_eq!(
            plugins
                .take(&tenant(), None, None, chunks(&largest, 1 << 20))
                .await
                .unwrap()
                .1,
            64 << 20
        );
        assert_eq!(files(folder.path()), 1);
        let mut longer = chunks(&largest, 1 << 20);
        longer.0.push_back(Ok(Bytes::from_static(b"x")));
        assert_eq!(
            plugins.take(&tenant(), None, None, longer).await.unwrap_err().kind,
            ProblemKind::TooLarge
        );
        assert_eq!(files(folder.path()), 1);
    }

    #[tokio::test]
    async fn a_quota_is_kept_to_while_bytes_come_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = PluginFiles::new(folder.path());
        let mut endless = chunks(&component(1000), 100);
        endless.0.push_back(Err("nobody came so far".to_owned()));
        let refused = plugins.take(&tenant(), Some(999), None, endless).await.unwrap_err();
        assert_eq!(refused.kind, ProblemKind::QuotaExceeded, "{refused}");
        for part in ["999", "`plugin-bytes`", "tenant a", "sandbar quota set a plugin-bytes="] {
            assert!(refused.to_string().contains(part), "{refused}");
        }
        assert_eq!(files(folder.path()), 0);
        let taken = plugins
            .take(&tenant(), Some(1000), None, chunks(&component(1000), 100))
            .await;
        let (digest, _) = taken.unwrap();
        plugins.remove(&tenant(), &digest).await.unwrap();
        assert_eq!(files(folder.path()), 0);
    }

    #[tokio::test]
    async fn what_a_killed_daemon_left_is_swept() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = PluginFiles::new(folder.path());
        plugins.sweep().await.unwrap();
        let (digest, _) = plugins
            .take(&tenant(), None, None, chunks(&component(9), 9))
            .await
            .unwrap();
        let left = folder.path().join(format!("a/plugins/{COMING}0"));
        std::fs::write(&left, "half").unwrap();
        std::fs::write(folder.path().join("catalog.db"), "").unwrap();
        plugins.sweep().await.unwrap();
        assert!(!left.exists() && plugins.path(&tenant(), &digest).exists());
    }
}
