//! A cursor that appends to a reply and never writes past its limit.
//!
//! Space is checked once for a whole RRset by [`Writer::fits`]; each write is checked again, and a write that
//! does not fit leaves the writer [`Writer::overflowed`], so that a wrong estimate yields a truncated reply
//! and never a panic or a broken record.

use crate::header::OCTETS;

/// Appends octets to a borrowed buffer.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
    limit: usize,
    overflowed: bool,
}

impl<'a> Writer<'a> {
    /// Starts behind the first `len` octets of `out`, which the caller has filled, and ends at `limit`.
    pub fn new(out: &'a mut [u8], len: usize, limit: usize) -> Self {
        let limit = limit.min(out.len());
        Self { len: len.min(limit), overflowed: len > limit, out, limit }
    }

    /// Octets written so far, the header included: the offset of what is written next.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Moves the end, for instance to give back what was reserved for the OPT record.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.clamp(self.len, self.out.len());
    }

    /// Whether `octets` more would fit.
    #[inline]
    pub fn fits(&self, octets: usize) -> bool {
        octets <= self.limit - self.len
    }

    /// Whether a write was refused since the writer was made or last rewound.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Goes back to a length seen before, forgetting what came after.
    pub fn rewind(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.overflowed = false;
    }

    /// Appends octets as they are.
    #[inline]
    pub fn put(&mut self, octets: &[u8]) {
        let end = self.len + octets.len();
        if end <= self.limit
            && let Some(room) = self.out.get_mut(self.len..end)
        {
            room.copy_from_slice(octets);
            self.len = end;
        } else {
            self.overflowed = true;
        }
    }

    /// Appends one octet.
    #[inline]
    pub fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// Appends two octets in network order.
    #[inline]
    pub fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    /// Appends four octets in network order.
    #[inline]
    pub fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// Overwrites two octets at `offset`, which must have been written already; else nothing happens.
    #[inline]
    pub fn set_u16(&mut self, offset: usize, value: u16) {
        if offset + 2 <= self.len
            && let Some(room) = self.out.get_mut(offset..offset + 2)
        {
            room.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// Overwrites the header behind its identifier: flags and the four counts, in network order. Nothing happens
    /// unless a whole header has been written already.
    #[inline]
    pub fn set_header(&mut self, flags_and_counts: [u16; 5]) {
        if self.len >= OCTETS
            && let Some(room) = self.out.get_mut(2..OCTETS)
        {
            for (room, word) in room.chunks_exact_mut(2).zip(flags_and_counts) {
                room.copy_from_slice(&word.to_be_bytes());
            }
        }
    }

    /// What has been written.
    pub fn written(&self) -> &[u8] {
        self.out.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_past_the_limit_changes_nothing_and_is_remembered() {
        let mut out = [0u8; 8];
        let mut writer = Writer::new(&mut out, 0, 5);
        writer.put_u32(1);
        writer.put_u16(2);
        assert!(writer.overflowed());
        assert_eq!(writer.len(), 4);
        writer.put_u8(9);
        assert_eq!(writer.written(), [0, 0, 0, 1, 9]);
    }

    #[test]
    fn rewinding_forgets_what_came_after() {
        let mut out = [0u8; 8];
        let mut writer = Writer::new(&mut out, 0, 8);
        writer.put_u32(1);
        let mark = writer.len();
        writer.put_u16(2);
        writer.rewind(mark);
        assert_eq!(writer.written(), [0, 0, 0, 1]);
    }

    #[test]
    fn a_header_is_set_behind_its_identifier() {
        let mut out = [0xff; 14];
        let mut writer = Writer::new(&mut out, 12, 14);
        writer.set_header([0x8180, 1, 2, 3, 4]);
        assert_eq!(writer.written(), [0xff, 0xff, 0x81, 0x80, 0, 1, 0, 2, 0, 3, 0, 4]);
        Writer::new(&mut [0; 11], 11, 11).set_header([0; 5]);
    }

    #[test]
    fn only_written_octets_can_be_overwritten() {
        let mut out = [0u8; 4];
        let mut writer = Writer::new(&mut out, 0, 4);
        writer.put_u16(0);
        writer.set_u16(0, 0x0102);
        writer.set_u16(1, 0xffff);
        assert_eq!(writer.written(), [1, 2]);
    }
}
