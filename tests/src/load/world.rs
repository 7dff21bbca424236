//! Two zones, `big.test` and `other.test`, of which every record carries the generation of its file.
//!
//! A block of `big.test` has an address with text, aliases that lead through names of this generation only,
//! across to the other zone and back, mail and service records with additional data, wildcards, a delegation
//! with glue, and an alias to nowhere in the other zone.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Which issue of the zone files.
pub type Generation = u16;

/// Records that a block has in `big.test`.
const PER_BLOCK: u32 = 15;
/// Blocks of `big.test` for each pair of aliases that lead through `other.test`.
const SHARING: u32 = 16;
/// SOA, NS and address of a server at the apex.
const AT_APEX: u32 = 3;

/// Writes one of the zones.
type Content = fn(&World, Generation, &mut dyn Write) -> io::Result<()>;

/// Where the zone files are, and how much is in them.
#[derive(Clone, Debug)]
pub struct World {
    directory: PathBuf,
    records: u32,
    /// How many blocks `big.test` has.
    pub blocks: u32,
    /// How many aliases lead through `other.test`.
    pub crossings: u32,
}

/// The TTL of every record of a generation, in seconds.
pub(super) fn ttl(generation: Generation) -> u32 {
    1000 + u32::from(generation)
}

/// The address of a block.
pub(super) fn address(generation: Generation, block: u32) -> Ipv4Addr {
    let [high, low] = generation.to_be_bytes();
    Ipv4Addr::new(10, high, low, block as u8)
}

/// The IPv6 address of a block.
pub(super) fn address6(generation: Generation, block: u32) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, generation, 0, 0, 0, (block >> 16) as u16, block as u16)
}

impl World {
    /// Zones for an empty directory; `big.test` shall have `records` records, a hundred at least.
    pub fn new(directory: &Path, records: u32) -> Self {
        // A crossing costs one record in `big.test`, for every `SHARING` blocks.
        let blocks = (records - AT_APEX) * SHARING / (PER_BLOCK * SHARING + 1) - 1;
        Self { directory: directory.to_owned(), records, blocks, crossings: blocks.div_ceil(SHARING) }
    }

    /// Writes both files and renames them into their places, one right after the other.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn write(&self, generation: Generation) -> io::Result<()> {
        let zones: [(&str, Content); 2] = [("big.test.zone", Self::big), ("other.test.zone", Self::other)];
        for (name, content) in zones {
            let mut file = BufWriter::with_capacity(1 << 16, File::create(self.new_file(name))?);
            content(self, generation, &mut file)?;
            file.flush()?;
        }
        for (name, _) in zones {
            fs::rename(self.new_file(name), self.directory.join(name))?;
        }
        Ok(())
    }

    fn new_file(&self, name: &str) -> PathBuf {
        // Without the ending that makes it a zone.
        self.directory.join(format!("{name}.new"))
    }

    fn big(&self, g: Generation, out: &mut dyn Write) -> io::Result<()> {
        head(g, out)?;
        for i in 0..self.blocks {
            let (next, crossing) = ((i + 1) % self.blocks, i % self.crossings);
            let (v4, v6) = (address(g, i), address6(g, i));
            write!(
                out,
                "w{i} A {v4}\n AAAA {v6}\n TXT \"g{g} {i}\"\n\
                 c{i} CNAME d{i}.g{g}\nd{i}.g{g} CNAME e{i}.g{g}\ne{i}.g{g} CNAME w{i}\n\
                 x{i} CNAME y{crossing}.g{g}.other.test.\n\
                 m{i} MX {first} w{i}\n MX {second} w{next}\n\
                 _s._tcp.m{i} SRV 0 {g} 53 w{i}\n\
                 *.v{i} TXT \"g{g} {i}\"\n*.u{i} CNAME d{i}.g{g}\n\
                 k{i} NS ns.g{g}.k{i}\nns.g{g}.k{i} A {v4}\n\
                 f{i} CNAME gone{i}.g{g}.other.test.\n",
                first = ttl(g),
                second = 10_000 + ttl(g),
            )?;
        }
        for j in 0..self.crossings {
            writeln!(out, "z{j}.g{g} CNAME w{j}")?;
        }
        for i in AT_APEX + PER_BLOCK * self.blocks + self.crossings..self.records {
            writeln!(out, "p{i} A {}", address(g, i))?;
        }
        Ok(())
    }

    fn other(&self, g: Generation, out: &mut dyn Write) -> io::Result<()> {
        head(g, out)?;
        for j in 0..self.crossings {
            writeln!(out, "y{j}.g{g} CNAME z{j}.g{g}.big.test.")?;
        }
        Ok(())
    }
}

fn head(g: Generation, out: &mut dyn Write) -> io::Result<()> {
    let (ttl, v4) = (ttl(g), address(g, 0));
    write!(out, "$TTL {ttl}\n@ SOA ns.g{g} host {g} 7200 1800 1209600 {ttl}\n NS ns.g{g}\nns.g{g} A {v4}\n")
}
