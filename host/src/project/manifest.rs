//! `plugin.toml`: how a project is built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

/// The file's name.
pub const MANIFEST: &str = "plugin.toml";

/// What the file says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginManifest {
    /// The language, for people.
    pub language: String,
    /// The component that is made, relative to the folder.
    pub plugin: PathBuf,
    /// What the command leaves: a core module, or a component; relative to the folder.
    pub module: PathBuf,
    /// Run by `sh -eu` in the folder.
    build: String,
    /// Run instead of `build` for a release.
    release: Option<String>,
    /// What the command needs and does not fetch by itself.
    #[serde(default)]
    tools: Vec<Tool>,
}

/// A program that has to be on the machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    name: String,
    /// A command that succeeds if it is there.
    check: String,
    /// What a person does to have it.
    install: String,
}

/// A tool that is not on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingTool {
    /// Its name.
    pub name: String,
    /// What a person does to have it: a command, or a sentence.
    pub install: String,
}

impl PluginManifest {
    /// Reads the file of a folder.
    ///
    /// # Errors
    /// `Usage`: there is none. `Invalid`: it is wrong.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&path).map_err(|why| {
            let what = format!("failed to read {}", path.display());
            Error::new(Kind::Usage, what, why)
                .hint("`sandbar new NAME --language rust` makes a project; a folder with a plugin.toml is one")
        })?;
        let manifest: Self = toml::from_str(&text).map_err(|why| {
            let what = format!("failed to read {}", path.display());
            Error::new(Kind::Invalid, what, why.to_string().trim_end())
        })?;
        manifest.stays_inside(&path)?;
        Ok(manifest)
    }

    /// The command of a build.
    pub(super) fn command(&self, release: bool) -> &str {
        match (&self.release, release) {
            (Some(command), true) => command,
            _ => &self.build,
        }
    }

    /// The tools that are not there, in the order of the file.
    pub fn missing_tools(&self, folder: &Path) -> Vec<MissingTool> {
        let missing = self.tools.iter().filter(|tool| !succeeds(&tool.check, folder));
        let told = missing.map(|tool| MissingTool {
            name: tool.name.clone(),
            install: tool.install.clone(),
        });
        told.collect()
    }

    /// What is made lies in the folder, and nothing else is written.
    fn stays_inside(&self, path: &Path) -> Result<()> {
        let leaves = |of: &Path| {
            of.components()
                .any(|part| !matches!(part, std::path::Component::Normal(_)))
        };
        for (key, of) in [("plugin", &self.plugin), ("module", &self.module)] {
            if leaves(of) || of.as_os_str().is_empty() {
                let what = format!("`{key}` of {} is no path in its folder", path.display());
                return Err(Error::new(Kind::Invalid, what, format!("it is `{}`", of.display())));
            }
        }
        Ok(())
    }
}

fn succeeds(command: &str, folder: &Path) -> bool {
    let status = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PluginManifest> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MANIFEST), text).unwrap();
        PluginManifest::read(folder.path())
    }

    const WHOLE: &str = "language = \"sh\"\nplugin = \"a.wasm\"\nmodule = \"build/a.wasm\"\nbuild = \"true\"\n";

    #[test]
    fn a_release_has_a_command_of_its_own_or_the_same() {
        let manifest = read(WHOLE).unwrap();
        assert_eq!((manifest.command(false), manifest.command(true)), ("true", "true"));
        let manifest = read(&format!("{WHOLE}release = \"false\"\n")).unwrap();
        assert_eq!((manifest.command(false), manifest.command(true)), ("true", "false"));
    }

    #[test]
    fn a_tool_that_is_missing_is_told_with_what_installs_it() {
        let tool = |name: &str, check: &str| {
            format!("[[tools]]\nname = \"{name}\"\ncheck = \"{check}\"\ninstall = \"apt-get install {name}\"\n")
        };
        let manifest = read(&format!("{WHOLE}{}{}", tool("there", "true"), tool("gone", "exit 3"))).unwrap();
        let missing = manifest.missing_tools(Path::new("."));
        assert_eq!(missing.len(), 1);
        assert_eq!(
            (&*missing[0].name, &*missing[0].install),
            ("gone", "apt-get install gone")
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let no_folder = PluginManifest::read(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(no_folder.kind, Kind::Usage);
        assert!(no_folder.hint.unwrap().contains("sandbar new"));
        let unknown = read(&format!("{WHOLE}speed = 7\n")).unwrap_err();
        assert_eq!(unknown.kind, Kind::Invalid);
        assert!(
            unknown.why.contains("speed") && unknown.why.contains("line 5"),
            "{unknown}"
        );
        for outside in ["/etc/a.wasm", "../a.wasm", "", "a/../../b.wasm"] {
            let text = WHOLE.replace("\"a.wasm\"", &format!("\"{outside}\""));
            assert_eq!(read(&text).unwrap_err().kind, Kind::Invalid, "{outside}");
        }
    }
}
