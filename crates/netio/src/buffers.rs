//! The octets of a batch.

/// Equal buffers in one allocation. Their starts are an odd number of cache lines apart, so that the first
/// lines of all of them do not fall into the same set of the first-level cache, as with 4096 octets they would.
pub(crate) struct Buffers {
    memory: Box<[u8]>,
    /// The usable octets of each.
    pub(crate) octets: usize,
    stride: usize,
}

impl Buffers {
    pub(crate) fn new(count: usize, octets: usize) -> Self {
        const CACHE_LINE: usize = 64;
        let octets = octets.max(1);
        let stride = (octets.div_ceil(CACHE_LINE) | 1) * CACHE_LINE;
        Self { memory: vec![0; count * stride].into_boxed_slice(), octets, stride }
    }

    pub(crate) fn get(&self, index: usize, octets: usize) -> &[u8] {
        let start = index * self.stride;
        &self.memory[start..start + octets.min(self.octets)]
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> &mut [u8] {
        let start = index * self.stride;
        &mut self.memory[start..start + self.octets]
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let octets = self.octets;
        self.memory.chunks_exact_mut(self.stride).map(move |buffer| &mut buffer[..octets])
    }
}
