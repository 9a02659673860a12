//! Tells the program which compiler made it, for the description of the machine.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let version = output
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok());
    // "rustc 1.95.0 (hash date)"
    let version = version.as_deref().and_then(|text| text.split(' ').nth(1));
    println!(
        "cargo::rustc-env=RUSTC_VERSION={}",
        version.unwrap_or("unknown")
    );
}
