//! A disk of a few megabytes that really fills up: a tmpfs in a mount namespace of its own, which goes with its holder.

use crate::guard::{Folder, Guarded};
use crate::process::{Process, binary};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A small disk, and a way to run `sandbar` where it is mounted.
pub struct SmallDisk {
    holder: Guarded,
    folder: Folder,
}

impl SmallDisk {
    /// A disk of so many MiB. `None`: this machine lets nobody mount one.
    pub fn new(mebibytes: u32) -> Option<Self> {
        let folder = Folder::new("sandbar-disk-");
        let script =
            format!("mount -t tmpfs -o size={mebibytes}m,mode=0777 tmpfs \"$1\" && echo mounted && exec sleep 1000000");
        let mut holder = Command::new("unshare");
        holder
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script, "holder"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut holder = Guarded::spawn(&mut holder);
        let mut said = String::new();
        let stdout = holder.child().stdout.take()?;
        BufReader::new(stdout).read_line(&mut said).ok()?;
        (said.trim() == "mounted").then_some(Self { holder, folder })
    }

    /// Where the disk is for a program that [`run`](Self::run) started.
    pub fn path(&self) -> PathBuf {
        self.folder.path().to_path_buf()
    }

    /// Fills the disk to its last byte.
    pub fn fill(&self) {
        let mut file = std::fs::File::options();
        let mut file = file
            .create(true)
            .append(true)
            .open(self.ballast())
            .expect("a file on the disk");
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    /// Makes room again.
    pub fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("the file that fills the disk");
    }

    /// Starts `sandbar ARGS` where the disk is mounted.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Process {
        let mut command = Command::new("nsenter");
        command
            .args(["--user", "--preserve-credentials", "--mount", "--target"])
            .arg(self.holder.id().to_string())
            .arg(binary())
            .args(arguments);
        Process::of(command)
    }

    fn ballast(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        let inside = self.folder.path().strip_prefix("/").expect("an absolute path");
        root.join(inside).join("ballast")
    }
}
