//! What every check is given: where a complaint gets its place, the folder that paths of the file begin at, and what
//! the process was granted.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::process::grant::Grant;

use super::document::{Document, Span};

/// The document for errors, the folder that paths are relative to, and the grant.
#[derive(Debug, Clone, Copy)]
pub(in crate::spec) struct Scope<'a> {
    document: &'a Document,
    base: &'a Path,
    grant: Option<&'a Grant>,
}

impl<'a> Scope<'a> {
    pub(in crate::spec) fn new(document: &'a Document, base: &'a Path, grant: Option<&'a Grant>) -> Self {
        Self { document, base, grant }
    }

    /// What the process was granted; `None`: a person runs it.
    pub(in crate::spec) fn grant(&self) -> Option<&'a Grant> {
        self.grant
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
