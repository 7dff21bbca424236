//! Writes an image while its zone is read: nodes are laid out as they come and are found again at once, so that no
//! other form of the zone stands in memory beside it.
//!
//! The caller, `pharos-zone`, knows which zones are simple enough for that: each name's records come together, and
//! nothing that comes later changes what a node is. Nodes that must wait (those whose records lead to other names) are
//! announced and laid out at the end.

use pharos_wire::hash::HashKey;
use pharos_wire::{Name, Rtype};

use super::{BuildError, ImageBuilder, MAX_WITHIN, NodeId, NodeSpec, Reach, RrSetSpec, name_at, name_layout};
use crate::image::{DESCRIPTOR, NODE_HEAD, NodeFlags, ZoneImage};
use crate::rekey::hashed_anew;
use crate::table::Table;

/// Where nodes that wait stand in the table, their number added. No arena grows as far: the rest of the four GiB is
/// left to zones that are built in two steps.
const WAITING: u32 = 0xf000_0000;

/// Where a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// It is laid out, from this place on.
    At(u32),
    /// It waits, under this number.
    Waits(u32),
}

impl Start {
    fn of(offset: u32) -> Self {
        offset.checked_sub(WAITING).map_or(Self::At(offset), Self::Waits)
    }
}

/// Builds one image in one pass.
#[derive(Debug)]
pub struct StreamBuilder {
    builder: ImageBuilder,
    table: Table,
    /// Names that the table has room for, and has.
    room: usize,
    listed: usize,
    /// Hashes of the nodes that wait.
    waiting: Vec<u64>,
}

impl StreamBuilder {
    /// Starts an image for the zone `apex` with room for `names` names.
    pub fn new(apex: &Name, names: usize) -> Self {
        let mut builder = ImageBuilder::new(apex, 0);
        builder.arena = Vec::with_capacity(names * 40);
        Self { builder, table: Table::with_room(names), room: names, listed: 0, waiting: Vec::new() }
    }

    /// Loads the line at which a look-up of this hash starts.
    #[inline]
    pub fn warm(&self, hash: u64) {
        self.table.warm(hash);
    }

    /// The node with this hash of which `is_it` says, by its name without the apex or by the number under which it waits,
    /// that it is the one.
    #[inline]
    pub fn find(&self, hash: u64, is_it: impl Fn(Result<&[u8], u32>) -> bool) -> Option<Start> {
        let offset = self.table.find(hash, |offset| match Start::of(offset) {
            Start::At(at) => is_it(Ok(name_at(&self.builder.arena, at))),
            Start::Waits(number) => is_it(Err(number)),
        })?;
        Some(Start::of(offset))
    }

    /// Announces a node that is laid out at the end; it gets the next number, counted from zero.
    ///
    /// # Errors
    /// [`BuildError::ImageTooLarge`] when there are more names than there is room for.
    pub fn wait(&mut self, hash: u64) -> Result<(), BuildError> {
        let offset = WAITING + self.waiting.len() as u32;
        self.list(hash, offset)?;
        self.waiting.push(hash);
        self.builder.starts.push(0);
        Ok(())
    }

    /// Lays out a node that never was there.
    ///
    /// # Errors
    /// [`BuildError`]; the builder is of no use afterwards.
    #[inline]
    pub fn node(
        &mut self,
        hash: u64,
        owner: &[u8],
        flags: NodeFlags,
        rrsets: &[RrSetSpec<'_>],
    ) -> Result<(), BuildError> {
        let start = self.here()?;
        self.list(hash, start)?;
        if let [RrSetSpec { rtype, ttl, records: [rdata], signatures: [], extras: [] }] = rrsets
            && name_layout(*rtype).is_none()
            && *rtype != Rtype::NSEC
            && rdata.len() <= MAX_WITHIN
        {
            self.builder.lay_out_one(owner, flags, *rtype, *ttl, rdata);
            return Ok(());
        }
        let (id, reach) = (NodeId(0), Reach::Listed(hash));
        self.builder.lay_out(&NodeSpec { id, owner, reach, flags, links: None, rrsets }, start)
    }

    /// Lays out a node that waited. [`NodeId`]s of extras are those of nodes that wait, or come from
    /// [`Self::number`].
    ///
    /// # Errors
    /// [`BuildError`]; the builder is of no use afterwards.
    pub fn waited(
        &mut self,
        number: u32,
        owner: &[u8],
        flags: NodeFlags,
        rrsets: &[RrSetSpec<'_>],
    ) -> Result<(), BuildError> {
        let start = self.here()?;
        let hash = *self.waiting.get(number as usize).ok_or(BuildError::UnknownNode)?;
        let reach = Reach::Listed(hash);
        self.builder.node(&NodeSpec { id: NodeId(number), owner, reach, flags, links: None, rrsets })?;
        self.table.moved(hash, WAITING + number, start);
        Ok(())
    }

    /// A number for a node, for extras to lead to. Every node that waits must have been announced before.
    pub fn number(&mut self, start: Start) -> NodeId {
        match start {
            Start::Waits(number) => NodeId(number),
            Start::At(at) => {
                self.builder.starts.push(at + 1);
                NodeId(self.builder.starts.len() as u32 - 1)
            }
        }
    }

    /// Whether a node that is laid out has an RRset of one of these types.
    pub fn has_any(&self, at: u32, rtypes: &[Rtype]) -> bool {
        let at = at as usize;
        let arena = &self.builder.arena;
        let count = arena.get(at + 2..at + 4).map_or(0, |o| usize::from(u16::from_le_bytes([o[0], o[1]])));
        // Nodes of this builder have no links.
        let first = at + NODE_HEAD + name_at(arena, at as u32).len();
        let descriptors = arena.get(first..first + count * DESCRIPTOR).unwrap_or_default();
        let mut all = descriptors.chunks_exact(DESCRIPTOR);
        all.any(|head| rtypes.contains(&Rtype(u16::from_le_bytes([head[0], head[1]]))))
    }

    /// Adds to what is special about a node that is laid out.
    pub fn add_flags(&mut self, at: u32, flags: NodeFlags) {
        if let Some(held) = self.builder.arena.get_mut(at as usize) {
            *held |= flags.bits();
        }
    }

    /// Closes the image; the apex is a node that waited.
    ///
    /// # Errors
    /// [`BuildError::UnknownNode`] when a node that waited was never laid out.
    pub fn finish(
        mut self,
        key: HashKey,
        apex: NodeId,
        serial: u32,
        negative_ttl: u32,
    ) -> Result<ZoneImage, BuildError> {
        if self.table.is_roomy_for(self.listed) {
            let (arena, apex) = (&self.builder.arena, self.builder.apex.as_wire());
            self.table = hashed_anew(&self.table, self.listed, arena, apex, key);
        }
        self.builder.close(apex, self.table, serial, negative_ttl)
    }

    fn here(&self) -> Result<u32, BuildError> {
        self.builder.position().ok().filter(|&at| at < WAITING).ok_or(BuildError::ImageTooLarge)
    }

    fn list(&mut self, hash: u64, offset: u32) -> Result<(), BuildError> {
        if self.listed == self.room {
            return Err(BuildError::ImageTooLarge);
        }
        self.listed += 1;
        self.table.insert(hash, offset);
        Ok(())
    }
}
