//! `sandbar build`: runs a project's own command, and makes a checked component of what it leaves.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::manifest::{MANIFEST, PluginManifest};
use super::wrap::wrap;
use crate::error::{Error, Kind, Result};
use crate::plugin::{World, world_of};

/// A component that was built.
#[derive(Debug)]
pub struct Built {
    /// Its file.
    pub plugin: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The language, as the project says; none, if a module was wrapped.
    pub language: Option<String>,
    /// The world that it is of; none, if it is no plugin: only a project's has to be one.
    pub world: Option<World>,
    /// Whether there is another component now than before.
    pub is_new: bool,
}

/// Builds the project in a folder. What its command says goes to standard error.
///
/// # Errors
/// `Usage`: the folder is no project. `Invalid`: its file is wrong. `Failed`: a tool is missing, the command failed or
/// left no module. `Plugin`: what it left is no plugin. The component of before is still there then.
pub fn build(folder: &Path, release: bool) -> Result<Built> {
    let manifest = PluginManifest::read(folder)?;
    has_its_tools(&manifest, folder)?;
    run(&manifest, folder, release)?;
    let plugin = folder.join(&manifest.plugin);
    let built = make(&folder.join(&manifest.module), &plugin, |component| {
        world_of(&plugin, component).map(Some)
    })?;
    Ok(Built {
        language: Some(manifest.language),
        ..built
    })
}

/// Makes the component `to` of the core module `module`, whether or not it is a plugin.
///
/// # Errors
/// `Plugin`: it is no core module, or lacks what its world promises. `Failed`: a file cannot be read or written.
pub fn wrap_file(module: &Path, to: &Path) -> Result<Built> {
    make(module, to, |component| Ok(world_of(to, component).ok()))
}

fn has_its_tools(manifest: &PluginManifest, folder: &Path) -> Result<()> {
    let missing = manifest.missing_tools(folder);
    if missing.is_empty() {
        return Ok(());
    }
    let what = format!("failed to build {}: a tool is missing", folder.display());
    let why: Vec<String> = missing
        .iter()
        .map(|tool| format!("{}: {}", tool.name, tool.install))
        .collect();
    Err(Error::new(Kind::Failed, what, why.join("\n")).hint("install it, and build again"))
}

fn run(manifest: &PluginManifest, folder: &Path, release: bool) -> Result<()> {
    let what = || format!("failed to build {}", folder.display());
    let status = Command::new("sh")
        .args(["-eu", "-c", manifest.command(release)])
        .current_dir(folder)
        .env("PATH", path_with_this_program())
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .map_err(|why| Error::new(Kind::Failed, what(), format!("sh: {why}")))?;
    match status.success() {
        true => Ok(()),
        false => Err(
            Error::new(Kind::Failed, what(), format!("its command ended with {status}")).hint(format!(
                "the command stands in {}; what it said is above",
                folder.join(MANIFEST).display()
            )),
        ),
    }
}

/// So that a project's own command may call this program.
fn path_with_this_program() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let folders = std::env::split_paths(&path).chain(own);
    // A folder with a colon in its name cannot stand there.
    std::env::join_paths(folders).unwrap_or(path)
}

fn make(module: &Path, plugin: &Path, check: impl FnOnce(&[u8]) -> Result<Option<World>>) -> Result<Built> {
    let failed = |path: &Path, why: std::io::Error| {
        Error::new(
            Kind::Failed,
            format!("failed to build {}", plugin.display()),
            format!("{}: {why}", path.display()),
        )
    };
    let bytes = std::fs::read(module).map_err(|why| failed(module, why))?;
    let component = wrap(&bytes).map_err(|why| {
        let what = format!("failed to make a component of {}", module.display());
        Error::new(Kind::Plugin, what, why)
    })?;
    let world = check(&component)?;
    let is_new = std::fs::read(plugin).ok().as_deref() != Some(&*component);
    if is_new {
        replace(plugin, &component).map_err(|why| failed(plugin, why))?;
    }
    Ok(Built {
        plugin: plugin.to_owned(),
        bytes: component.len() as u64,
        language: None,
        world,
        is_new,
    })
}

/// Whoever reads the file reads the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    std::io::Write::write_all(&mut file, bytes)?;
    readable_by_all(file.as_file())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// A temporary file is its owner's alone; a plugin is like any other file that a build leaves.
fn readable_by_all(file: &std::fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(build: &str, more: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "language = \"sh\"\nplugin = \"a.wasm\"\nmodule = \"build/core.wasm\"\nbuild = '''\n{build}\n'''\n{more}"
        );
        std::fs::write(folder.path().join(MANIFEST), text).unwrap();
        folder
    }

    #[test]
    fn a_command_that_fails_leaves_the_component_of_before() {
        let folder = project("echo wrong; exit 7", "");
        std::fs::write(folder.path().join("a.wasm"), "before").unwrap();
        let error = build(folder.path(), false).unwrap_err();
        assert_eq!(error.kind, Kind::Failed);
        assert!(error.why.contains('7'), "{error}");
        assert_eq!(std::fs::read(folder.path().join("a.wasm")).unwrap(), b"before");
    }

    #[test]
    fn the_first_line_of_a_command_that_fails_ends_it() {
        let folder = project("false\nmkdir build", "");
        assert!(build(folder.path(), false).unwrap_err().why.contains("ended with"));
        assert!(!folder.path().join("build").exists());
    }

    #[test]
    fn a_missing_tool_is_told_before_anything_runs() {
        let tool = "[[tools]]\nname = \"zag\"\ncheck = \"false\"\ninstall = \"apt-get install zag\"\n";
        let folder = project("touch ran", tool);
        let error = build(folder.path(), false).unwrap_err();
        assert_eq!((error.kind, &*error.why), (Kind::Failed, "zag: apt-get install zag"));
        assert!(!folder.path().join("ran").exists());
    }

    #[test]
    fn what_a_command_leaves_is_checked() {
        let nothing = build(project("true", "").path(), false).unwrap_err();
        assert!(nothing.why.contains("build/core.wasm"), "{nothing}");
        let text = project("mkdir -p build; echo hello > build/core.wasm", "");
        let error = build(text.path(), false).unwrap_err();
        assert_eq!(error.kind, Kind::Plugin);
        assert!(
            error.why.contains("no WebAssembly") && !text.path().join("a.wasm").exists(),
            "{error}"
        );
    }
}
