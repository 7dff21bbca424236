//! The same data under another key.
//!
//! The key of all hashes is that of a process ([`pharos_wire::hash`]). A key that others may know is to be replaced, and
//! what was kept with it is not to be lost: everything in an image stays as it is, but for the hash table, which is filled
//! anew from the names of the nodes that it lists.
//!
//! Called by whoever reads stored images, and by the builder whose table has become too large.

use pharos_wire::hash::{HashKey, HashedName};

use crate::build::name_at;
use crate::image::ZoneImage;
use crate::table::Table;

impl ZoneImage {
    /// The image as one that was made with `key`.
    #[must_use]
    pub fn with_key(mut self, key: HashKey) -> Self {
        let nodes = self.table.offsets().count();
        self.table = hashed_anew(&self.table, nodes, &self.arena, self.apex.as_wire(), key);
        self
    }
}

/// A table with room for `nodes`, which are all that `table` lists, by the hashes of their names.
pub(crate) fn hashed_anew(table: &Table, nodes: usize, arena: &[u8], apex: &[u8], key: HashKey) -> Table {
    let mut anew = Table::with_room(nodes);
    let (mut hashed, mut wire) = (HashedName::default(), Vec::new());
    for offset in table.offsets() {
        wire.clear();
        wire.extend(name_at(arena, offset));
        wire.extend(apex);
        if hashed.set(&wire).is_ok() {
            hashed.hash(key);
            anew.insert(hashed.suffix_hash(0), offset);
        }
    }
    anew
}
