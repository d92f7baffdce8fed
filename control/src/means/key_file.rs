//! Where the daemon's sealing key comes from: a variable, or a file in its folder.
//!
//! Never takes a file that others can read, and never makes a key if something was sealed with one. Always: the file is
//! whole, and on the disk before anything is sealed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::sealing::{KEY_BYTES, SealingKey};
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::random::random;

/// The variable that has the key, if one does.
pub(crate) const KEY_VARIABLE: &str = "SANDBAR_SECRETS_KEY";

/// The sealing key: what the variable has, or else the file `secrets.key` of the daemon's folder, which is made if
/// nothing was sealed yet.
///
/// # Errors
///
/// `Invalid` if the variable is no key; `Conflict` if something was sealed and there is no file; `Failed` if the file
/// is open to others, is no key, or cannot be read or written.
pub(crate) fn key_of_daemon(folder: &Path, variable: Option<&str>, is_sealed: bool) -> Result<SealingKey> {
    if let Some(text) = variable {
        return of_variable(text);
    }
    let path = folder.join("secrets.key");
    let failed = |doing: &str, error: io::Error| {
        let what = format!("failed to {doing} the key of the secrets, {}", path.display());
        Problem::new(ProblemKind::Failed, what, error)
    };
    match File::open(&path) {
        Ok(file) => read(file, &path).map_err(|error| failed("read", error)),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("read", error)),
        Err(_) if is_sealed => {
            let what = format!("failed to find the key of the secrets, {}", path.display());
            let why =
                format!("it is not there, {KEY_VARIABLE} is not set, and the catalog's secrets are sealed with a key");
            Err(Problem::new(ProblemKind::Conflict, what, why).hint("put that key back there; nothing was changed"))
        }
        Err(_) => make(folder, &path).map_err(|problem| match problem {
            NotMade::NoRandomness(problem) => problem,
            NotMade::NotWritten(error) => failed("write", error),
        }),
    }
}

fn of_variable(text: &str) -> Result<SealingKey> {
    let bytes = STANDARD.decode(text.trim()).ok();
    let key = bytes.and_then(|bytes| <[u8; KEY_BYTES]>::try_from(bytes).ok());
    key.map(SealingKey::new).ok_or_else(|| {
        let what = format!("failed to read the key of the secrets in {KEY_VARIABLE}");
        Problem::new(
            ProblemKind::Invalid,
            what,
            format!("it is not {KEY_BYTES} bytes in base64"),
        )
        .hint("`head -c 32 /dev/urandom | base64` makes one")
    })
}

fn read(file: File, path: &Path) -> io::Result<SealingKey> {
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o077 != 0 {
        let why = format!(
            "others can read it (mode {mode:03o}): `chmod 600 {}`, and set the secrets anew if somebody did",
            path.display()
        );
        return Err(io::Error::other(why));
    }
    let mut bytes = Vec::new();
    file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let key = <[u8; KEY_BYTES]>::try_from(bytes.as_slice());
    key.map(SealingKey::new)
        .map_err(|_| io::Error::other(format!("it has not {KEY_BYTES} bytes, as a key has")))
}

/// Why no key was made.
enum NotMade {
    NoRandomness(Problem),
    NotWritten(io::Error),
}

fn make(folder: &Path, path: &Path) -> std::result::Result<SealingKey, NotMade> {
    let bytes: [u8; KEY_BYTES] = random().map_err(NotMade::NoRandomness)?;
    write(folder, path, &bytes).map_err(NotMade::NotWritten)?;
    Ok(SealingKey::new(bytes))
}

fn write(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let coming = folder.join("secrets.key.coming");
    // Of a start that ended meanwhile.
    match fs::remove_file(&coming) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(&coming)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&coming, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn opens(one: &SealingKey, other: &SealingKey) -> bool {
        let sealed = one.seal(&["a"], "hunter2").unwrap();
        other.open(&["a"], &sealed).is_some()
    }

    #[test]
    fn a_key_is_made_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secrets.key.coming"), "half").unwrap();
        let made = key_of_daemon(folder.path(), None, false).unwrap();
        let path = folder.path().join("secrets.key");
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.len(), metadata.mode() & 0o777), (32, 0o600));
        assert!(opens(&made, &key_of_daemon(folder.path(), None, true).unwrap()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let other = tempfile::tempdir().unwrap();
        assert!(!opens(&made, &key_of_daemon(other.path(), None, false).unwrap()));
    }

    #[test]
    fn the_variable_wins_and_no_file_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let text = STANDARD.encode([7; 32]);
        let key = key_of_daemon(folder.path(), Some(&format!("{text}\n")), true).unwrap();
        assert!(opens(&key, &SealingKey::new([7; 32])));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        for wrong in ["", "hunter2", &STANDARD.encode([7; 31]), &STANDARD.encode([7; 33])] {
            let problem = key_of_daemon(folder.path(), Some(wrong), false).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::Invalid);
            assert!(problem.to_string().contains("32 bytes in base64"), "{problem}");
            assert!(wrong.is_empty() || !problem.to_string().contains(wrong), "{problem}");
        }
    }

    #[test]
    fn a_file_that_is_open_to_others_or_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        key_of_daemon(folder.path(), None, false).unwrap();
        let path = folder.path().join("secrets.key");
        for mode in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let problem = key_of_daemon(folder.path(), None, true).unwrap_err();
            assert!(problem.to_string().contains(&format!("mode {mode:03o}")), "{problem}");
            assert!(problem.to_string().contains("chmod 600"), "{problem}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for wrong in [&[7; 31][..], &[7; 33]] {
            fs::write(&path, wrong).unwrap();
            let problem = key_of_daemon(folder.path(), None, true).unwrap_err();
            assert!(problem.to_string().contains("has not 32 bytes"), "{problem}");
        }
    }

    #[test]
    fn no_key_is_made_beside_what_was_sealed_with_another() {
        let folder = tempfile::tempdir().unwrap();
        let problem = key_of_daemon(folder.path(), None, true).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Conflict);
        assert!(problem.to_string().contains("put that key back"), "{problem}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
