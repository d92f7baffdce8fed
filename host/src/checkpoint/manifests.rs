//! The manifests that are kept in memory: they never change, and a way back asks for the same ones again and again.
//!
//! Always: they have a limit in bytes, not in number, since one of many tasks is as large as a thousand small ones. The
//! newest stay, for those are asked for again; and the newest of all does however large it is, since every task of its
//! worker asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bundle::Checked;

/// Bytes of manifests that are kept, as they are written; decoded they have about as many again.
const MOST_BYTES: usize = 64 << 20;

/// Manifests by the name of their bundle, which begins with the time of writing.
#[derive(Debug)]
pub(super) struct Manifests {
    kept: BTreeMap<String, Arc<Checked>>,
    bytes: usize,
    most_bytes: usize,
}

impl Default for Manifests {
    fn default() -> Self {
        Self {
            kept: BTreeMap::new(),
            bytes: 0,
            most_bytes: MOST_BYTES,
        }
    }
}

impl Manifests {
    pub(super) fn get(&self, name: &str) -> Option<Arc<Checked>> {
        self.kept.get(name).cloned()
    }

    pub(super) fn keep(&mut self, name: &str, checked: Arc<Checked>) {
        self.forget(name);
        self.bytes += weight(name, &checked);
        self.kept.insert(name.to_owned(), checked);
        while self.bytes > self.most_bytes && self.kept.len() > 1 {
            let Some((oldest, checked)) = self.kept.pop_first() else {
                break;
            };
            self.bytes -= weight(&oldest, &checked);
        }
    }

    pub(super) fn forget(&mut self, name: &str) {
        if let Some(checked) = self.kept.remove(name) {
            self.bytes -= weight(name, &checked);
        }
    }
}

fn weight(name: &str, checked: &Checked) -> usize {
    name.len() + checked.manifest_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::bundle::{TaskFrame, encode};
    use super::*;
    use crate::offset_metadata::Pointer;

    /// A manifest of a task with so many partitions.
    fn checked(partitions: i32) -> Arc<Checked> {
        let offsets = (0..partitions).map(|number| (number, 4711)).collect();
        let frame = TaskFrame {
            task: "views/0".to_owned(),
            seq: 1,
            parent: Pointer::first("views/0"),
            base: None,
            offsets: [("views".to_owned(), offsets)].into(),
            stops: [].into(),
            partition_counts: [].into(),
            stores: Vec::new(),
            delta: Vec::new(),
        };
        Arc::new(encode("pages", 0, 0, vec![frame]).unwrap().checked)
    }

    #[test]
    fn manifests_are_weighed_and_the_newest_stay() {
        let most_bytes = 100_000;
        let mut manifests = Manifests {
            most_bytes,
            ..Manifests::default()
        };
        let (large, small) = (checked(2000), checked(1));
        assert!(large.manifest_bytes() > 20_000, "{}", large.manifest_bytes());
        for number in 0..100 {
            manifests.keep(&format!("{number:03}"), large.clone());
            assert!(manifests.bytes <= most_bytes, "{} bytes of {number}", manifests.bytes);
        }
        assert!(manifests.get("099").is_some() && manifests.get("000").is_none());
        assert!(manifests.kept.len() > 1, "some fit");
        (0..100).for_each(|number| manifests.keep(&format!("x{number:03}"), small.clone()));
        assert!(manifests.get("x000").is_some(), "small ones are many");
        let before = manifests.bytes;
        manifests.keep("x000", small);
        assert_eq!(manifests.bytes, before, "what is kept again is weighed once");
        for name in manifests.kept.keys().cloned().collect::<Vec<_>>() {
            manifests.forget(&name);
        }
        assert_eq!(manifests.bytes, 0);
    }

    #[test]
    fn the_newest_stays_however_large_it_is() {
        let mut manifests = Manifests {
            most_bytes: 100,
            ..Manifests::default()
        };
        let large = checked(2000);
        for name in ["1", "2"] {
            manifests.keep(name, large.clone());
        }
        assert!(manifests.get("2").is_some() && manifests.get("1").is_none());
    }
}
