//! Three stages, each in processes of its own, connected by channels: one writes pages of text, two count their words, this
//! one adds up the counts. Each stage ends when the one before it has.
//!
//! ```text
//! cargo run --release --example pipeline
//! ```

use std::{collections::HashMap, time::Instant};

use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use indicatif::{ProgressBar, ProgressStyle};
use multiproc::{Process, Receiver, Sender, channel};

const PAGES: u64 = 4000;
const WORDS: &[&str] = &[
    "the", "lock", "of", "a", "process", "that", "died", "is", "free", "and", "whole",
];

/// The first stage: pages, the words of which are the same in every run.
fn write(pages: Sender<String>) {
    let mut random = 1u64;
    let mut word = || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        // Short numbers are more frequent, as short words are.
        let bits = (random >> 60) % 11;
        WORDS[(random >> 33) as usize % (bits as usize + 1)]
    };
    for _ in 0..PAGES {
        let page: Vec<&str> = (0..1000).map(|_| word()).collect();
        pages.send(page.join(" ")).unwrap();
    }
}

/// The second stage: the number of each word of a page.
fn count((pages, counts): (Receiver<String>, Sender<HashMap<String, u64>>)) {
    for page in pages {
        let mut words = HashMap::new();
        for word in page.split(' ') {
            *words.entry(word.to_owned()).or_default() += 1;
        }
        counts.send(words).unwrap();
    }
}

fn main() -> Result<(), multiproc::Error> {
    multiproc::init();
    let begun = Instant::now();
    let (to_count, pages) = channel(1 << 20)?;
    let (counts, counted) = channel(1 << 16)?;
    // Each end is with those who use it and nobody else, so that all know when no more will come.
    let writer = Process::spawn(write, to_count)?;
    let counter = || Process::spawn(count, (pages.clone(), counts.clone()));
    let counters = [counter()?, counter()?];
    drop((pages, counts));
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} pages, {eta} left");
    let bar = ProgressBar::new(PAGES).with_style(style.expect("a template"));
    let mut totals: HashMap<String, u64> = HashMap::new();
    for words in bar.wrap_iter(counted.iter()) {
        for (word, count) in words {
            *totals.entry(word).or_default() += count;
        }
    }
    bar.finish_and_clear();
    writer.join()?;
    for counter in counters {
        counter.join()?;
    }
    let mut ranking: Vec<_> = totals.into_iter().collect();
    ranking.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(["word", "times"]);
    table.add_rows(
        ranking
            .iter()
            .take(5)
            .map(|(word, count)| [word.clone(), count.to_string()]),
    );
    println!("{table}\n{PAGES} pages in {:.1?}", begun.elapsed());
    Ok(())
}
