//! Makes up the log of a web shop, over two days.

use std::{
    f64::consts::PI,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

use indicatif::ProgressBar;

const HOURS: u64 = 48;

/// Request, share of all in thousandths, median of the milliseconds that an answer takes, and of its bytes.
const PAGES: [(&str, u64, f64, f64); 14] = [
    ("GET /", 90, 4.0, 18e3),
    ("GET /static/shop.css", 85, 0.3, 9.4e3),
    ("GET /static/shop.js", 85, 0.4, 61e3),
    ("GET /static/logo.svg", 70, 0.3, 2.1e3),
    ("GET /search?q=", 60, 70.0, 14e3),
    ("POST /api/cart?item=", 55, 9.0, 640.0),
    ("POST /login", 25, 35.0, 3.9e3),
    ("POST /api/orders", 14, 28.0, 1.2e3),
    ("POST /checkout", 11, 160.0, 5.2e3),
    ("GET /about", 6, 2.0, 7.7e3),
    ("GET /old/index.html", 3, 0.5, 310.0),
    ("GET /reports/month", 2, 900.0, 88e3),
    ("GET /reports/year", 1, 2600.0, 410e3),
    ("GET /export.csv", 1, 1500.0, 2.4e6),
];
/// The rest are for items, the `n`th of which is asked for `n` times less often than the first.
const ITEMS: u32 = 2000;

const NETS: [&str; 2] = ["203.0.113", "198.51.100"];
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0)",
    "Mozilla/5.0 (Windows NT 10.0; Win64)",
    "curl/8.16.0",
];

/// Writes the log, which has its name only when it is complete.
pub fn generate(path: &Path, lines: u64, seed: u64, bar: &ProgressBar) -> io::Result<()> {
    let unfinished = path.with_added_extension(format!("{}.part", std::process::id()));
    let write = || {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&unfinished)?);
        write_all(&mut out, lines, seed, bar)?;
        // Nobody is to be slowed down later by what is written back then.
        out.into_inner()?.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().inspect_err(|_| _ = fs::remove_file(&unfinished))
}

fn write_all(out: &mut impl Write, lines: u64, seed: u64, bar: &ProgressBar) -> io::Result<()> {
    let mut random = Random(seed);
    let shop = Shop::new();
    let loads = (0..HOURS).map(load);
    let whole: f64 = loads.clone().sum();
    let mut until_then = 0.0;
    for (hour, load) in (0..).zip(loads) {
        let start = (until_then / whole * lines as f64) as u64;
        until_then += load;
        let end = match hour + 1 {
            HOURS => lines,
            _ => (until_then / whole * lines as f64) as u64,
        };
        let (mut last, mut date) = (u64::MAX, String::new());
        for line in start..end {
            let second = (line - start) * 3600 / (end - start);
            if second != last {
                let (day, hour) = (28 + hour / 24, hour % 24);
                let (minute, second) = (second / 60, second % 60);
                date = format!("{day}/Nov/2026:{hour:02}:{minute:02}:{second:02} +0000");
                bar.set_position(line);
            }
            last = second;
            shop.write_line(out, &date, load, &mut random)?;
        }
    }
    Ok(())
}

/// Between 0.1 in the quiet of the night and 1 on a busy afternoon.
fn load(hour: u64) -> f64 {
    let of_a_day = (hour % 24) as f64 / 24.0;
    0.55 - 0.45 * (2.0 * PI * of_a_day - 0.8).cos()
}

struct Shop {
    pages: Vec<Page>,
    /// How many of 2^32 requests are for this page or one before it.
    shares: Vec<u64>,
}

struct Page {
    request: String,
    median_millis: f64,
    median_bytes: f64,
}

impl Shop {
    fn new() -> Shop {
        let (mut shop, mut sum) = (
            Shop {
                pages: vec![],
                shares: vec![],
            },
            0.0,
        );
        let mut add = |request, share, median_millis, median_bytes| {
            sum += share;
            shop.shares.push((sum * (1u64 << 32) as f64) as u64);
            shop.pages.push(Page {
                request,
                median_millis,
                median_bytes,
            });
            sum
        };
        let mut known = 0.0;
        for (request, share, millis, bytes) in PAGES {
            known = add(request.to_owned(), share as f64 / 1000.0, millis, bytes);
        }
        let harmonic: f64 = (1..=ITEMS).map(|item| 1.0 / f64::from(item)).sum();
        for item in 1..=ITEMS {
            let share = (1.0 - known) / harmonic / f64::from(item);
            add(format!("GET /items/{item}"), share, 12.0, 11e3);
        }
        shop
    }

    fn write_line(
        &self,
        out: &mut impl Write,
        date: &str,
        load: f64,
        random: &mut Random,
    ) -> io::Result<()> {
        let share = random.below(1 << 32);
        let page = self.shares.partition_point(|until| *until <= share);
        // Rounding may leave a little more than all of them.
        let page = &self.pages[page.min(self.pages.len() - 1)];
        let (net, host) = (NETS[random.below(2) as usize], random.below(256));
        if random.below(100_000) == 0 {
            // TLS where it is not expected.
            return writeln!(
                out,
                r#"{net}.{host} - - [{date}] "\x16\x03\x01" 400 0 "-" "-" 0.000000"#
            );
        }
        let request = &page.request;
        let roll = random.below(1000);
        let status = match roll {
            _ if request.starts_with("GET /old") => 301,
            0..12 if request.starts_with("GET /items") => 404,
            0..80 if request.starts_with("GET /static") => 304,
            900..903 if load > 0.8 => 503,
            903..905 => 500,
            _ => 200,
        };
        let bytes = match status {
            200 => (page.median_bytes * random.around_one(0.2)) as u64,
            304 => 0,
            _ => 310,
        };
        // Now and then something is not in a cache.
        let miss = if random.below(100) == 0 { 7.0 } else { 1.0 };
        let millis = page.median_millis * miss * (1.0 + load * load) * random.around_one(0.5);
        let micros = (millis * 1000.0) as u64;
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let agent = AGENTS[random.below(4) as usize];
        write!(out, "{net}.{host} - - [{date}] \"{request}")?;
        if request.ends_with('=') {
            write!(out, "{roll}")?;
        }
        writeln!(
            out,
            r#" HTTP/1.1" {status} {bytes} "-" "{agent}" {seconds}.{micros:06}"#
        )
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(end);
        (product >> 64) as u64
    }

    /// Roughly log-normal, with a median of 1: the sum of four numbers that are equally likely from 0 to 1 is roughly normal.
    fn around_one(&mut self, deviation: f64) -> f64 {
        let bits = self.next();
        let sum: u64 = [0, 16, 32, 48]
            .iter()
            .map(|shift| bits >> shift & 0xffff)
            .sum();
        let normal = (sum as f64 / 65535.0 - 2.0) * 3f64.sqrt();
        (deviation * normal).exp()
    }
}
