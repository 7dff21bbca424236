//! Asks the compiler for its version, which `/metrics` tells.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PHAROS_COMMIT");
    let compiler = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(compiler).arg("--version").output().ok();
    let told = told.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    // "rustc 1.88.0 (6b00bc388 2025-06-23)": the number is enough.
    println!("cargo::rustc-env=PHAROS_RUSTC={}", told.split_whitespace().nth(1).unwrap_or_default());
}
