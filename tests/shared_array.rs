//! The example `shared_array`, run as its users run it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

const METHODS: [&str; 2] = ["spawn", "fork"];

/// The example lies beside the directory of the test executables; `cargo test` builds both.
fn example() -> Command {
    let test = env::current_exe().expect("a test knows its own path");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("tests lie in <profile>/deps");
    let example = profile.join("examples/shared_array");
    assert!(
        example.exists(),
        "not there: {}; cargo build --example shared_array",
        example.display()
    );
    Command::new(example)
}

fn run(arguments: &[&str]) -> Output {
    example()
        .args(arguments)
        .output()
        .expect("the example starts")
}

fn json(arguments: &[&str]) -> Value {
    let output = run(&[arguments, &["--json"]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// A file that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        Scratch(env::temp_dir().join(format!("shared-array-{}-{name}.npy", std::process::id())))
    }

    fn holding(name: &str, bytes: &[u8]) -> Scratch {
        let scratch = Scratch::new(name);
        fs::write(&scratch.0, bytes).expect("the temporary directory can be written");
        scratch
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("a path of plain characters")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A file of version 1.0 with this dictionary and data.
fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let dict = format!("{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((dict.len() as u16).to_le_bytes());
    bytes.extend(dict.bytes());
    bytes.extend(data);
    bytes
}

fn little_endian(numbers: &[f64]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Numbers of many magnitudes, some of them many times.
fn sample(count: u64) -> Vec<f64> {
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1 << 30) - 1.0
    };
    (0..count)
        .map(|i| {
            if i % 3 == 0 {
                (next() * 10.0).round()
            } else {
                next().powi(5) * 1e3
            }
        })
        .collect()
}

fn close(found: &Value, expected: f64) -> bool {
    let found = found.as_f64().expect("a number");
    (found - expected).abs() <= 1e-12 * expected.abs()
}

/// NumPy's default quantile, on sorted numbers.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[test]
fn the_figures_are_those_of_a_simple_computation_whatever_the_method_and_number_of_workers() {
    let numbers = sample(20_003);
    let file = Scratch::holding(
        "sample",
        &npy("'<f8'", "False", "(20003,)", &little_endian(&numbers)),
    );
    let n = numbers.len() as f64;
    // In steps of 2^-60 a sum of integers is exact.
    let exact = |numbers: &mut dyn Iterator<Item = f64>| {
        numbers.map(|x| (x * 2f64.powi(60)) as i128).sum::<i128>() as f64 / 2f64.powi(60)
    };
    let sum = exact(&mut numbers.iter().copied());
    let mean = sum / n;
    let std = (exact(&mut numbers.iter().map(|x| (x - mean).powi(2))) / n).sqrt();
    let mut sorted = numbers.clone();
    sorted.sort_by(f64::total_cmp);

    for method in METHODS {
        for workers in ["1", "2", "7"] {
            let figures = json(&[file.path(), "--method", method, "--workers", workers]);
            assert_eq!(figures["count"], 20_003);
            for (name, expected) in [
                ("sum", sum),
                ("mean", mean),
                ("std", std),
                ("min", sorted[0]),
                ("max", sorted[sorted.len() - 1]),
                ("q01", quantile(&sorted, 0.01)),
                ("q25", quantile(&sorted, 0.25)),
                ("q50", quantile(&sorted, 0.5)),
                ("q75", quantile(&sorted, 0.75)),
                ("q99", quantile(&sorted, 0.99)),
            ] {
                assert!(
                    close(&figures[name], expected),
                    "{method} {workers} {name}: {figures}, not {expected}"
                );
            }
            assert_eq!(figures["workers"].to_string(), workers);
            assert_eq!(figures["method"], method);
        }
    }
}

#[test]
fn every_real_type_in_either_byte_order_is_understood() {
    macro_rules! files {
        ($($name:literal $type:ty),*) => {
            [$(
                (concat!("'<", $name, "'"), [1, 2, 5].map(|x| (x as $type).to_le_bytes()).concat()),
                (concat!("'>", $name, "'"), [1, 2, 5].map(|x| (x as $type).to_be_bytes()).concat()),
            )*]
        };
    }
    for (descr, data) in files!(
        "f4" f32, "f8" f64, "i1" i8, "i2" i16, "i4" i32, "i8" i64, "u1" u8, "u2" u16, "u4" u32, "u8" u64
    ) {
        let file = Scratch::holding("types", &npy(descr, "False", "(3,)", &data));
        let figures = json(&[file.path(), "--workers", "2"]);
        let found = [
            &figures["sum"],
            &figures["min"],
            &figures["q50"],
            &figures["max"],
        ];
        assert_eq!(found, [8.0, 1.0, 2.0, 5.0], "{descr}");
    }
}

#[test]
fn the_standardised_array_keeps_its_shape_and_has_mean_0_and_deviation_1() {
    let file = Scratch::holding(
        "cube",
        &npy("'<f8'", "False", "(2, 3, 4)", &little_endian(&sample(24))),
    );
    let out = Scratch::new("cube-out");
    json(&[file.path(), "--workers", "7", "--out", out.path()]);
    let written = fs::read(&out.0).expect("it was written");
    assert!(
        String::from_utf8_lossy(&written).contains("'shape': (2, 3, 4, )"),
        "another shape"
    );
    assert_eq!(
        written.len() % 64,
        24 * 8 % 64,
        "the data does not start on a multiple of 64 bytes"
    );

    let again = json(&[out.path()]);
    assert_eq!(again["count"], 24);
    assert!(
        again["mean"]
            .as_f64()
            .is_some_and(|mean| mean.abs() < 1e-15),
        "{again}"
    );
    assert!(close(&again["std"], 1.0), "{again}");
}

#[test]
fn an_empty_array_has_a_sum_and_a_single_number_everything() {
    let empty = Scratch::holding("empty", &npy("'<f8'", "False", "(0, 5)", &[]));
    let figures = json(&[empty.path(), "--workers", "3"]);
    assert_eq!(
        (&figures["count"], &figures["sum"]),
        (&0.into(), &0.0.into())
    );
    assert_eq!(
        (&figures["mean"], &figures["min"], &figures["q50"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );

    let single = Scratch::holding("single", &npy("'<i2'", "False", "()", &7i16.to_le_bytes()));
    let figures = json(&[single.path(), "--workers", "3"]);
    assert_eq!(
        (&figures["count"], &figures["std"], &figures["q99"]),
        (&1.into(), &0.0.into(), &7.0.into())
    );
}

#[test]
fn nans_are_counted_and_left_out() {
    let numbers = [f64::NAN, 3.0, -f64::NAN, 1.0, 2.0];
    let file = Scratch::holding(
        "nans",
        &npy("'<f8'", "False", "(5,)", &little_endian(&numbers)),
    );
    let figures = json(&[file.path(), "--workers", "2"]);
    assert_eq!(
        (&figures["count"], &figures["nans"]),
        (&3.into(), &2.into())
    );
    assert_eq!(
        (&figures["mean"], &figures["q50"], &figures["max"]),
        (&2.0.into(), &2.0.into(), &3.0.into())
    );
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_a_reason_and_code_2() {
    let good = npy("'<f8'", "False", "(2,)", &[0; 16]);
    let huge = format!("({0}, {0})", u64::MAX / 2);
    let nested = format!("{}0,{}", "(".repeat(30_000), ")".repeat(30_000));
    let cases = [
        ("empty", vec![], "not an .npy file"),
        (
            "foreign",
            b"PK\x03\x04 something else altogether".to_vec(),
            "not an .npy file",
        ),
        ("header", good[..40].to_vec(), "the header is cut short"),
        ("truncated", good[..good.len() - 1].to_vec(), "truncated"),
        ("trailing", [&good[..], b"x"].concat(), "1 bytes too long"),
        ("fortran", npy("'<f8'", "True", "(2,)", &[0; 16]), "Fortran"),
        (
            "object",
            npy("'|O'", "False", "(2,)", &[0; 16]),
            "dtype '|O'",
        ),
        (
            "complex",
            npy("'<c16'", "False", "(1,)", &[0; 16]),
            "dtype '<c16'",
        ),
        (
            "record",
            npy("[('x', '<f8')]", "False", "(2,)", &[0; 16]),
            "structured",
        ),
        ("overflow", npy("'<f8'", "False", &huge, &[]), "too large"),
        (
            "beyond",
            npy("'<f8'", "False", "(18446744073709551616,)", &[]),
            "cannot be larger",
        ),
        (
            "claimed",
            npy("'<f8'", "False", "(1000000000000,)", &[0; 16]),
            "truncated",
        ),
        (
            "negative",
            npy("'<f8'", "False", "(-2,)", &[0; 16]),
            "negative",
        ),
        (
            "nested",
            npy("'<f8'", "False", &nested, &[0; 16]),
            "longer than 10,000 bytes",
        ),
        (
            "tuples",
            npy("'<f8'", "False", "((((((0,),),),),),)", &[0; 16]),
            "within each other",
        ),
        (
            "lists",
            npy(
                "'<f8'",
                "False",
                &format!("{}{}", "[".repeat(50), "]".repeat(50)),
                &[],
            ),
            "not supported",
        ),
        (
            "dimensions",
            npy("'<f8'", "False", "(1,1,1,1,1,1,1,1,1)", &[0; 8]),
            "dimensions",
        ),
        (
            "shapeless",
            b"\x93NUMPY\x01\x00\x02\x00{}".to_vec(),
            "missing",
        ),
        (
            "version",
            b"\x93NUMPY\x09\x00\x02\x00{}".to_vec(),
            "not an .npy file",
        ),
    ];
    for (name, bytes, reason) in cases {
        let file = Scratch::holding(name, &bytes);
        assert_refused(&[file.path()], reason);
    }
    assert_refused(&["/no/such/file.npy"], "No such file");
    assert_refused(&["/"], "Is a directory");
}

#[test]
fn a_wrong_command_line_is_refused_with_code_2() {
    assert_refused(&["--workers", "0"], "0 is not in");
    assert_refused(&["--method", "thread"], "thread");
    assert_refused(&["a.npy", "--generate", "5"], "cannot be used with");
    assert_refused(&["--frobnicate"], "unexpected argument");
}

fn assert_refused(arguments: &[&str], reason: &str) {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
    assert!(
        error.contains(reason),
        "{arguments:?}: {error:?} does not say {reason:?}"
    );
    assert!(output.stdout.is_empty(), "{arguments:?} printed something");
}

#[test]
fn a_killed_worker_ends_the_program_at_once_with_an_error_that_names_its_range() {
    for method in METHODS {
        let mut program = example()
            .args([
                "--generate",
                "40000000",
                "--workers",
                "4",
                "--method",
                method,
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let children = wait_for_children(&mut program, 4);
        let victim = children[2];
        kill(victim);
        let killed = Instant::now();
        let output = program.wait_with_output().expect("it ends");
        assert!(
            killed.elapsed() < Duration::from_secs(1),
            "it took {:?}",
            killed.elapsed()
        );
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        for part in [
            &format!("(pid {victim}) was killed by SIGKILL"),
            "worker 2",
            "elements 20,000,000..30,000,000",
        ] {
            assert!(error.contains(part), "{error:?} does not say {part:?}");
        }
        for child in children {
            assert!(
                !Path::new(&format!("/proc/{child}")).exists(),
                "worker {child} is left over"
            );
        }
        assert_eq!(
            json(&["--generate", "1000", "--method", method])["count"],
            1000
        );
    }
}

/// Waits until the program has `count` children at once, in the order of their birth.
fn wait_for_children(program: &mut Child, count: usize) -> Vec<i32> {
    let list = format!("/proc/{0}/task/{0}/children", program.id());
    loop {
        let text = fs::read_to_string(&list).unwrap_or_default();
        let children: Vec<i32> = text
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        if children.len() == count {
            return children;
        }
        let ended = program.try_wait().expect("it can be waited for");
        assert!(ended.is_none(), "it ended before it had {count} children");
        std::thread::yield_now();
    }
}

fn kill(pid: i32) {
    // SAFETY: sends a signal to a child that is not reaped before it dies; touches no memory.
    let sent = unsafe { libc::kill(pid, libc::SIGKILL) };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
}
