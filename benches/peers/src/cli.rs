//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures multiproc beside its peers, in one run on one machine.
///
/// Prints `row beside ours peer ratio` as it goes, then the curves. Some minutes.
#[derive(Parser)]
#[command(name = "multiproc-peers", version)]
pub struct Cli {
    /// Rows and curves whose name contains this only, in small or capital letters
    #[arg(default_value = "", hide_default_value = true)]
    pub filter: String,
    /// Print everything as JSON, and nothing else
    #[arg(long)]
    pub json: bool,
    /// Do everything a few times only: to see in some seconds that it works. The figures mean nothing
    #[arg(long)]
    pub quick: bool,
    /// Write benchmarks.md and plots/*.svg into this directory, or else into docs/ of this checkout
    #[arg(
        long,
        value_name = "DIRECTORY",
        num_args = 0..=1,
        require_equals = true,
        conflicts_with = "filter"
    )]
    pub write: Option<Option<PathBuf>>,
}
