//! Writes pipeline files into folders that go with the test.

use crate::guard::Folder;
use crate::process::{self, Process};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A name that no other test uses: the given one, the process's id, a number.
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A pipeline with one source, `pass-through` and one sink; each part is text that a test may replace.
pub struct PipelineFile {
    folder: Folder,
    /// The pipeline's name.
    pub name: String,
    /// `host:port` of the cluster.
    pub brokers: String,
    /// Lines above the first table: `delivery`, `workers`.
    pub top: String,
    /// Lines of `[kafka.properties]`.
    pub properties: String,
    /// Lines of `[source.in]`.
    pub source: String,
    /// The component.
    pub plugin: PathBuf,
    /// What `inputs` of the operator lists, in quotes.
    pub inputs: String,
    /// More lines of `[operator.op]`.
    pub operator: String,
    /// Lines of `[sink.out]` besides `from`.
    pub sink: String,
    /// More tables: `[checkpoint]`, `[dead-letters]`.
    pub tables: String,
}

impl PipelineFile {
    /// From the source's lines through `pass-through` to a topic.
    pub fn new(brokers: &str, name: &str, source: &str, topic: &str) -> Self {
        Self {
            folder: Folder::new("sandbar-pipeline-"),
            name: name.into(),
            brokers: brokers.into(),
            top: "workers = 1".into(),
            properties: String::new(),
            source: source.into(),
            plugin: process::component("pass-through"),
            inputs: "\"in\"".into(),
            operator: String::new(),
            sink: format!("topic = \"{topic}\""),
            tables: String::new(),
        }
    }

    /// The group that the pipeline reads in, if the source names none.
    pub fn group(&self) -> String {
        format!("sandbar.{}", self.name)
    }

    /// A path beside the pipeline file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the file, and returns where it is. `member` tells processes apart that share the folder.
    pub fn write(&self, member: &str) -> PathBuf {
        let path = self.path(&format!("pipeline{member}.toml"));
        std::fs::write(&path, self.text(member)).expect("the pipeline file is written");
        path
    }

    fn text(&self, member: &str) -> String {
        let Self {
            name,
            brokers,
            top,
            properties,
            source,
            plugin,
            inputs,
            operator,
            sink,
            tables,
            ..
        } = self;
        let plugin = plugin.display();
        format!(
            "name = \"{name}\"\n{top}\n\
             [kafka]\nbrokers = \"{brokers}\"\n[kafka.properties]\n{properties}\n\
             [source.in]\n{source}\n\
             [operator.op]\nplugin = \"{plugin}\"\ninputs = [{inputs}]\n{operator}\n\
             [sink.out]\nfrom = [\"op\"]\n{sink}\n\
             {tables}\n[state]\ndir = \"state{member}\"\n"
        )
    }

    /// Starts `sandbar run -o json` on it.
    pub fn run(&self) -> Process {
        self.run_member("")
    }

    /// Starts `sandbar run -o json` as one of several members.
    pub fn run_member(&self, member: &str) -> Process {
        let path = self.write(member);
        Process::start(&["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()])
    }
}
