//! Asks the compiler for its version, which `/metrics` tells, and tells one compiler of zones from others, for the notes
//! beside images.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What decides, beside a zone's text, what its image holds and whether it is accepted: the codec, the layout, and scan,
/// checks and compilation.
const MAKERS: [&str; 3] = ["wire", "zonedb", "zone"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PHAROS_COMMIT");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(compiler).arg("--version").output().ok();
    let told = told.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    // "rustc 1.88.0 (6b00bc388 2025-06-23)": the number is enough.
    println!("cargo::rustc-env=PHAROS_RUSTC={}", told.split_whitespace().nth(1).unwrap_or_default());
    println!("cargo::rustc-env=PHAROS_MAKERS={:016x}", makers()?);
    Ok(())
}

/// A digest of the sources of [`MAKERS`]: the same wherever they are unpacked, with or without version control.
fn makers() -> io::Result<u64> {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| ".".into());
    let crates = Path::new(&here).join("..");
    let mut digest = Digest(0xcbf2_9ce4_8422_2325);
    for name in MAKERS {
        let source = crates.join(name).join("src");
        println!("cargo::rerun-if-changed={}", source.display());
        let mut files = Vec::new();
        list(&source, &mut files)?;
        files.sort();
        for file in files {
            let place = file.strip_prefix(&crates).unwrap_or(&file);
            digest.part(place.to_string_lossy().as_bytes());
            digest.part(&std::fs::read(&file)?);
        }
    }
    Ok(digest.0)
}

/// All Rust sources in and below a directory; what an editor leaves beside them is none.
fn list(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// FNV-1a. It meets nobody who looks for collisions: whoever may write images may write the zones.
struct Digest(u64);

impl Digest {
    /// Takes one more part; its length keeps it from its neighbours.
    fn part(&mut self, octets: &[u8]) {
        let length = octets.len() as u64;
        for octet in octets.iter().chain(&length.to_le_bytes()) {
            self.0 = (self.0 ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}
