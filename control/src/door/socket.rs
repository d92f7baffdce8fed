//! The socket of the machine itself, in the daemon's folder.
//!
//! Never takes the place of a daemon that lives: whoever opens one holds the lock of the folder. Always: for its owner
//! alone, as the folder is; what a daemon that was killed left is replaced.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of the path of a socket, at most: the kernel's limit.
const MOST_PATH_BYTES: usize = 107;

/// A socket that is listened on; its file goes with it.
#[derive(Debug)]
pub(crate) struct MachineSocket {
    path: PathBuf,
    pub(super) listener: UnixListener,
}

impl MachineSocket {
    /// Listens on `serve.sock` in this folder, whose lock the caller holds.
    ///
    /// # Errors
    /// `Invalid`: its path is too long. `Conflict`: something else than a socket is there. `Failed`: it cannot be made.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("serve.sock");
        let what = format!("failed to listen on {}", path.display());
        let bytes = path.as_os_str().as_bytes().len();
        if bytes > MOST_PATH_BYTES {
            let why = format!("its path has {bytes} bytes, and that of a socket has {MOST_PATH_BYTES} at most");
            return Err(Problem::new(ProblemKind::Invalid, what, why).hint("give a folder with a shorter path: --data"));
        }
        match fs::symlink_metadata(&path) {
            Ok(file) if !file.file_type().is_socket() => {
                let why = "something else than a socket is there";
                return Err(Problem::new(ProblemKind::Conflict, what, why).hint("move it away"));
            }
            _ => {}
        }
        let failed = |error: io::Error| Problem::new(ProblemKind::Failed, what.clone(), error);
        remove(&path).map_err(failed)?;
        let listener = UnixListener::bind(&path).map_err(failed)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok(Self { path, listener })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for MachineSocket {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(socket = %self.path.display(), %error, "a socket is left behind");
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_killed_daemon_left_is_replaced_and_another_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("serve.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let socket = MachineSocket::open(folder.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::net::UnixStream::connect(socket.path()).unwrap();
        drop(socket);
        assert!(!path.exists());
        fs::write(&path, "something").unwrap();
        let problem = MachineSocket::open(folder.path()).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Conflict);
        assert_eq!(fs::read(&path).unwrap(), b"something");
    }

    #[tokio::test]
    async fn a_path_that_is_too_long_is_told_with_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(MOST_PATH_BYTES));
        fs::create_dir(&deep).unwrap();
        let problem = MachineSocket::open(&deep).unwrap_err();
        let bytes = deep.join("serve.sock").as_os_str().len();
        assert!(
            problem.why.contains(&bytes.to_string()) && problem.why.contains("107"),
            "{problem}"
        );
    }
}
