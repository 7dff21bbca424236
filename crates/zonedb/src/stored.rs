//! An image as octets, to be written to a file and read again.
//!
//! ```text
//! head   magic, version of the layout, octets of the head, identity of the key, note, shape, sums    (see `head`)
//! body   arena | buckets | NSEC keys | NSEC nodes | NSEC3 starts | prefixes | hashes | nodes
//! sums   of the body
//! ```
//!
//! All numbers are little-endian. Names are found by keyed hashes, so an image can be used only where its key is: the
//! head tells a key from others without telling the key. The note is the caller's: what the image was made from.
//!
//! The sums find damage: a bit that fell over, a file that was not written to its end. They do not find forgery, and
//! need not: whoever may write the file may write the zone, too. Yet an image that somebody made up, sums and all, does
//! no more than answer wrongly: whatever it says, look-ups stay inside it and end, as [`crate::image`] reads every
//! place through a check.
//!
//! Nothing here opens a file. Called by the responder, which keeps images of what it has accepted.

use std::io::{self, Read, Write};
use std::ops::Range;

use pharos_wire::Name;
use pharos_wire::hash::HashKey;

use crate::depths::Depths;
use crate::image::ZoneImage;
use crate::nsec;
use crate::nsec3::{Chain, HASH_OCTETS, Nsec3Parameters};
use crate::sums::{SUMS_OCTETS, Sums};
use crate::table::{BUCKET_OCTETS, Table};

const MAGIC: &[u8; 8] = b"PHAROSZI";

/// Which layout an image has; to be counted up with every change to what [`crate::image`] or this module writes, so that
/// no image is read as what it is not.
pub const LAYOUT: u32 = 1;

/// The longest note: it names a few files and counts.
pub const MAX_NOTE: usize = 1 << 20;
/// Octets of the head before the note, and behind it without name and salt.
const FIXED: usize = 8 + 4 + 4 + 8 + 4;
const MAX_HEAD: usize = FIXED + MAX_NOTE + 1024;

/// Octets that are read or written at once: little beside a zone, and still in the second-level cache when summed.
const PIECE: usize = 128 << 10;

/// Why octets are no image that can be used.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    /// They cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// They are something else.
    #[error("it is no image of a zone")]
    NotAnImage,
    /// Another version of this program wrote them.
    #[error("it has layout {0}, and this program reads layout {LAYOUT}")]
    OtherLayout(u32),
    /// Names in it are hashed with another key.
    #[error("it was made with another key")]
    OtherKey,
    /// They are not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

/// What stands before an image: enough to know whether to read on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// The zone's name, in lower case.
    pub apex: Name,
    /// What whoever wrote the image had to say of it.
    pub note: Vec<u8>,
    /// The key that names in it are hashed with.
    pub key: HashKey,
    shape: Shape,
}

/// Lengths and the rest of the small things.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Shape {
    apex_node: u32,
    depths: Depths,
    serial: u32,
    negative_ttl: u32,
    records: u64,
    arena: u64,
    buckets: u64,
    nsec: u64,
    /// Parameters, bits of the index, and length, where there is a chain.
    nsec3: Option<(Nsec3Parameters, u32, u64)>,
}

impl Shape {
    fn body_octets(&self) -> u64 {
        let nsec3 = self.nsec3.as_ref().map_or(0, |(_, bits, members)| {
            let starts = (1u64 << bits.min(&32)) + 1;
            starts * 4 + members.saturating_mul(4 + HASH_OCTETS as u64 + 4)
        });
        self.arena
            .saturating_add(self.buckets.saturating_mul(BUCKET_OCTETS as u64))
            .saturating_add(self.nsec.saturating_mul(12))
            .saturating_add(nsec3)
    }
}

/// What tells a key from others, and does not tell it.
fn key_identity(key: HashKey) -> [u8; 8] {
    // Two hashes of a keyed function, of names that no zone has.
    let (one, other) = (key.extend(key.root(), b"pharos image"), key.extend(!key.root(), b"key identity"));
    (one.rotate_left(31) ^ other).to_le_bytes()
}

impl ZoneImage {
    /// Writes the image, which was made with `key`, with a note of no more than [`MAX_NOTE`] octets.
    ///
    /// # Errors
    /// Those of `out`, and one for a note that is too long.
    pub fn write_to(&self, key: HashKey, note: &[u8], out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.head(key, note)?)?;
        let mut out = Summing { out, sums: Sums::default(), piece: Vec::with_capacity(PIECE) };
        for piece in self.arena.chunks(PIECE) {
            out.octets(piece)?;
        }
        self.table.write(&mut |octets| out.gather(octets))?;
        let nsec = &self.nsec;
        nsec.keys.iter().try_for_each(|key| out.gather(&key.to_le_bytes()))?;
        nsec.nodes.iter().try_for_each(|node| out.gather(&node.to_le_bytes()))?;
        if let Some(chain) = &self.nsec3 {
            chain.starts.iter().try_for_each(|start| out.gather(&start.to_le_bytes()))?;
            chain.prefixes.iter().try_for_each(|prefix| out.gather(&prefix.to_le_bytes()))?;
            chain.hashes.iter().try_for_each(|hash| out.gather(hash))?;
            chain.nodes.iter().try_for_each(|node| out.gather(&node.to_le_bytes()))?;
        }
        out.finish()
    }

    fn head(&self, key: HashKey, note: &[u8]) -> io::Result<Vec<u8>> {
        if note.len() > MAX_NOTE {
            return Err(io::Error::other("the note beside the image is too long"));
        }
        let mut rest = Vec::new();
        rest.extend_from_slice(note);
        rest.push(self.apex.as_wire().len() as u8);
        rest.extend_from_slice(self.apex.as_wire());
        rest.extend_from_slice(&self.apex_node.to_le_bytes());
        rest.extend_from_slice(&self.depths.bits().to_le_bytes());
        rest.extend_from_slice(&self.serial.to_le_bytes());
        rest.extend_from_slice(&self.negative_ttl.to_le_bytes());
        rest.extend_from_slice(&self.records.to_le_bytes());
        for count in [self.arena.len(), self.table.buckets(), self.nsec.nodes.len()] {
            rest.extend_from_slice(&(count as u64).to_le_bytes());
        }
        rest.push(u8::from(self.nsec3.is_some()));
        if let Some(chain) = &self.nsec3 {
            let Nsec3Parameters { iterations, salt } = &chain.parameters;
            rest.extend_from_slice(&iterations.to_le_bytes());
            rest.push(salt.len() as u8);
            rest.extend_from_slice(salt);
            rest.extend_from_slice(&chain.bits.to_le_bytes());
            rest.extend_from_slice(&(chain.nodes.len() as u64).to_le_bytes());
        }
        let mut head = Vec::with_capacity(FIXED + rest.len() + SUMS_OCTETS);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&LAYOUT.to_le_bytes());
        head.extend_from_slice(&((FIXED + rest.len() + SUMS_OCTETS) as u32).to_le_bytes());
        head.extend_from_slice(&key_identity(key));
        head.extend_from_slice(&(note.len() as u32).to_le_bytes());
        head.extend_from_slice(&rest);
        let sums = Sums::of(&head);
        head.extend_from_slice(&sums);
        Ok(head)
    }

    /// Reads the image whose head was read before, from where that ended. No more memory is taken than `octets`, which are
    /// all that remain of the file. The two large pieces of it are shown to `room`, by their addresses, before anything is
    /// put there: whoever knows of pages may choose them.
    ///
    /// # Errors
    /// [`StoredError`].
    pub fn read_from(
        head: &Head,
        octets: u64,
        input: &mut impl Read,
        room: impl Fn(Range<usize>),
    ) -> Result<Self, StoredError> {
        let shape = &head.shape;
        // An arena's places have 32 bits, and so have all that lead to them.
        if shape.body_octets().checked_add(SUMS_OCTETS as u64) != Some(octets)
            || shape.arena > u32::MAX.into()
        {
            return Err(StoredError::Damaged("its length is not what its head says"));
        }
        let mut body = Body { input, sums: Sums::default() };
        // The system hands out zeros when they are read into, and not before.
        let mut arena = vec![0; shape.arena as usize].into_boxed_slice();
        let place = arena.as_ptr_range();
        room(place.start as usize..place.end as usize);
        for piece in arena.chunks_mut(PIECE) {
            body.input.read_exact(piece)?;
            body.sums.update(piece);
        }
        let mut table = Table::reader(shape.buckets as usize);
        room(table.place());
        body.octets(shape.buckets * BUCKET_OCTETS as u64, &mut |piece| table.extend(piece))?;
        let nsec = nsec::Chain::from_parts(body.u64s(shape.nsec)?, body.u32s(shape.nsec)?);
        let nsec3 = match &shape.nsec3 {
            None => None,
            Some((parameters, bits, members)) => {
                let starts = body.u32s((1u64 << bits) + 1)?;
                let prefixes = body.u32s(*members)?;
                let mut hashes = Vec::with_capacity(*members as usize);
                body.octets(members * HASH_OCTETS as u64, &mut |piece| {
                    hashes.extend(piece.as_chunks::<HASH_OCTETS>().0);
                })?;
                let (hashes, nodes) = (hashes.into(), body.u32s(*members)?);
                let (parameters, bits) = (parameters.clone(), *bits);
                Some(Chain { parameters, starts, bits, prefixes, hashes, nodes }.into())
            }
        };
        let sums = body.sums.finish();
        let mut written = [0; SUMS_OCTETS];
        body.input.read_exact(&mut written)?;
        if sums != written {
            return Err(StoredError::Damaged("the sums of its content are not what was written"));
        }
        Ok(Self {
            apex: (&head.apex).into(),
            apex_node: shape.apex_node,
            arena,
            table: table.finish(),
            nsec,
            nsec3,
            depths: shape.depths,
            serial: shape.serial,
            negative_ttl: shape.negative_ttl,
            records: shape.records,
        })
    }
}

impl Head {
    /// Reads what stands before an image that was made with one of `keys`; how many octets that were is told, too.
    ///
    /// # Errors
    /// [`StoredError`].
    pub fn read_from(keys: &[HashKey], input: &mut impl Read) -> Result<(Self, u64), StoredError> {
        let mut fixed = [0; FIXED];
        input.read_exact(&mut fixed)?;
        let mut fields = Fields { rest: &fixed };
        if fields.take::<8>()? != *MAGIC {
            return Err(StoredError::NotAnImage);
        }
        let layout = fields.u32()?;
        if layout != LAYOUT {
            return Err(StoredError::OtherLayout(layout));
        }
        let octets = fields.u32()? as usize;
        let identity = fields.take::<8>()?;
        let note_octets = fields.u32()? as usize;
        if !(FIXED + SUMS_OCTETS..=MAX_HEAD).contains(&octets) {
            return Err(StoredError::Damaged("its head has no sensible length"));
        }
        let mut head = fixed.to_vec();
        head.resize(octets, 0);
        input.read_exact(&mut head[FIXED..])?;
        let (said, sums) = head.split_at(octets - SUMS_OCTETS);
        if Sums::of(said) != sums {
            return Err(StoredError::Damaged("the sums of its head are not what was written"));
        }
        let key = keys.iter().find(|key| identity == key_identity(**key)).ok_or(StoredError::OtherKey)?;
        let mut fields = Fields { rest: said.get(FIXED..).unwrap_or_default() };
        let head = fields.head(*key, note_octets)?;
        Ok((head, octets as u64))
    }
}

/// Reads the fields of a head one behind the other.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn octets(&mut self, count: usize) -> Result<&'a [u8], StoredError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or(StoredError::Damaged("its head ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], StoredError> {
        let mut taken = [0; N];
        taken.copy_from_slice(self.octets(N)?);
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, StoredError> {
        Ok(self.take::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, StoredError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, StoredError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn head(&mut self, key: HashKey, note_octets: usize) -> Result<Head, StoredError> {
        let note = self.octets(note_octets)?.to_vec();
        let octets = usize::from(self.u8()?);
        let apex = Name::from_wire(self.octets(octets)?)
            .map_err(|_| StoredError::Damaged("it names no zone"))?
            .to_folded();
        let apex_node = self.u32()?;
        let depths = Depths::from_bits(u128::from_le_bytes(self.take()?));
        let (serial, negative_ttl, records) = (self.u32()?, self.u32()?, self.u64()?);
        let (arena, buckets, nsec) = (self.u64()?, self.u64()?, self.u64()?);
        let nsec3 = match self.u8()? {
            0 => None,
            _ => {
                let iterations = u16::from_le_bytes(self.take()?);
                let salt_octets = usize::from(self.u8()?);
                let salt = self.octets(salt_octets)?.into();
                let (bits, members) = (self.u32()?, self.u64()?);
                // A prefix has no more bits.
                if bits > 32 {
                    return Err(StoredError::Damaged("its NSEC3 index has no sensible size"));
                }
                Some((Nsec3Parameters { iterations, salt }, bits, members))
            }
        };
        let shape = Shape { apex_node, depths, serial, negative_ttl, records, arena, buckets, nsec, nsec3 };
        Ok(Head { apex, note, key, shape })
    }
}

/// A body that is read and summed.
struct Body<'i, R> {
    input: &'i mut R,
    sums: Sums,
}

impl<R: Read> Body<'_, R> {
    /// Hands out the next octets in pieces whose length is a multiple of 320, but for the last: of all that is stored
    /// here some whole number fits.
    fn octets(&mut self, count: u64, take: &mut dyn FnMut(&[u8])) -> Result<(), StoredError> {
        let mut left = count;
        let mut piece = vec![0; (PIECE / 320 * 320).min(usize::try_from(count).unwrap_or(PIECE))];
        while left > 0 {
            let now = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let room = &mut piece[..now];
            self.input.read_exact(room)?;
            self.sums.update(room);
            take(room);
            left -= now as u64;
        }
        Ok(())
    }

    fn u32s(&mut self, count: u64) -> Result<Box<[u32]>, StoredError> {
        let mut numbers = Vec::with_capacity(count as usize);
        self.octets(count * 4, &mut |piece| {
            numbers.extend(piece.as_chunks::<4>().0.iter().map(|octets| u32::from_le_bytes(*octets)));
        })?;
        Ok(numbers.into())
    }

    fn u64s(&mut self, count: u64) -> Result<Box<[u64]>, StoredError> {
        let mut numbers = Vec::with_capacity(count as usize);
        self.octets(count * 8, &mut |piece| {
            numbers.extend(piece.as_chunks::<8>().0.iter().map(|octets| u64::from_le_bytes(*octets)));
        })?;
        Ok(numbers.into())
    }
}

/// Sums what it writes.
struct Summing<'o, W> {
    out: &'o mut W,
    sums: Sums,
    piece: Vec<u8>,
}

impl<W: Write> Summing<'_, W> {
    fn octets(&mut self, octets: &[u8]) -> io::Result<()> {
        self.sums.update(octets);
        self.out.write_all(octets)
    }

    /// A few octets, which are written together with others.
    fn gather(&mut self, octets: &[u8]) -> io::Result<()> {
        self.piece.extend_from_slice(octets);
        if self.piece.len() + 64 > PIECE {
            self.sums.update(&self.piece);
            self.out.write_all(&self.piece)?;
            self.piece.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.octets(&piece)?;
        let sums = self.sums.finish();
        self.out.write_all(&sums)
    }
}

#[cfg(test)]
mod tests;
