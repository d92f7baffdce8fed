//! What every check is given: where a complaint gets its place, and the folder that paths of the file begin at.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::error::Error;

use super::document::{Document, Span};

/// The document for errors, and the folder that paths are relative to.
#[derive(Debug, Clone, Copy)]
pub(in crate::spec) struct Scope<'a> {
    document: &'a Document,
    base: &'a Path,
}

impl<'a> Scope<'a> {
    pub(in crate::spec) fn new(document: &'a Document, base: &'a Path) -> Self {
        Self { document, base }
    }

    pub(in crate::spec) fn base(&self) -> &'a Path {
        self.base
    }

    /// A path of the file, from where the process stands.
    pub(in crate::spec) fn path(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }

    /// A path of the file; `None` for `-`, a standard stream.
    pub(in crate::spec) fn stream(&self, path: &Path) -> Option<PathBuf> {
        (path != Path::new("-")).then(|| self.path(path))
    }

    /// A place of the file, with its line.
    pub(in crate::spec) fn place(&self, span: &Span) -> String {
        self.document.place(span)
    }

    pub(in crate::spec) fn refuse(&self, span: Option<&Span>, what: impl Display, why: impl Display) -> Error {
        self.document.refuse(span, what, why)
    }
}
