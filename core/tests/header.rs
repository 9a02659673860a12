//! Headers: the bytes are what the documentation says, and foreign bytes are refused by name.
#![cfg(not(loom))]

mod common;

use common::{Fake, ORIGIN, bytes, memory};
use multiproc_core::{
    Array, AtomicArray, Counter, LayoutError, Mutex, Origin, Region, ShardedCounter, Value, record,
};

record! {
    struct Sample { x: f64, n: u32, flags: [u16; 2] }
}

type Samples<'m> = Array<'m, Sample, Fake>;

fn samples() -> Region<'static> {
    let region = memory(Samples::required_len(&[3, 4]).unwrap());
    // SAFETY: memory that nobody else has.
    unsafe { Samples::place(region, Fake::new(1), ORIGIN, &[3, 4]) }.unwrap();
    region
}

#[test]
fn the_bytes_of_a_header_are_these() {
    let region = samples();
    let golden = include_str!("golden/array_header.hex");
    let golden: Vec<u8> = golden
        .split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    let found = &bytes(region)[..512];
    let hex: Vec<String> = found.iter().map(|byte| format!("{byte:02x}")).collect();
    let lines: Vec<String> = hex.chunks(16).map(|line| line.join(" ")).collect();
    assert!(found == golden, "the header is now\n{}", lines.join("\n"));
}

#[test]
fn the_bytes_of_values_and_counters_lie_where_the_documentation_says() {
    let region = memory(Value::<f64, Fake>::required_len());
    // SAFETY: memory that nobody else has.
    let value = unsafe { Value::place(region, Fake::new(1), ORIGIN, 1.5f64) }.unwrap();
    assert_eq!(bytes(region)[544..552], 1.5f64.to_le_bytes());
    value.set(2.5).unwrap();
    assert_eq!(bytes(region)[528..536], 1u64.to_le_bytes());
    assert_eq!(bytes(region)[552..560], 2.5f64.to_le_bytes());

    let region = memory(Counter::required_len());
    // SAFETY: memory that nobody else has.
    unsafe { Counter::place(region, ORIGIN, 7) }.unwrap().add(2);
    assert_eq!(bytes(region)[512..520], 9u64.to_le_bytes());

    let region = memory(Mutex::<u64, Fake>::required_len());
    // SAFETY: memory that nobody else has.
    let mutex = unsafe { Mutex::place(region, Fake::new(1), ORIGIN, 5u64) }.unwrap();
    *mutex.lock().unwrap() += 1;
    assert_eq!(bytes(region)[536..544], 6u64.to_le_bytes());
}

/// Fault 27.
#[test]
fn every_flipped_bit_of_a_header_is_found() {
    let region = samples();
    for byte in (0..160).chain(192..512) {
        for bit in 0..8 {
            bytes(region)[byte] ^= 1 << bit;
            let result = Samples::attach(region, Fake::new(1), ORIGIN);
            assert!(result.is_err(), "bit {bit} of byte {byte} was not missed");
            bytes(region)[byte] ^= 1 << bit;
        }
    }
    Samples::attach(region, Fake::new(1), ORIGIN).unwrap();
}

/// What attaching says after `change` was made to a good header, with the checksum made right again where
/// `checksummed`.
fn attach_after(change: impl FnOnce(&mut [u8]), checksummed: bool) -> LayoutError {
    let region = samples();
    change(bytes(region));
    if checksummed {
        let words = |range: std::ops::Range<usize>| {
            bytes(region)[range]
                .chunks(8)
                .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
                .collect::<Vec<u64>>()
        };
        let sum = [words(0..120), words(192..512)]
            .concat()
            .into_iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, word| {
                (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
            });
        bytes(region)[120..128].copy_from_slice(&sum.to_le_bytes());
    }
    Samples::attach(region, Fake::new(1), ORIGIN)
        .map(drop)
        .unwrap_err()
}

fn put(offset: usize, value: u64) -> impl FnOnce(&mut [u8]) {
    move |bytes| bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes())
}

/// Fault 27. Fault 28.
#[test]
fn each_fault_of_a_header_has_its_own_error() {
    use LayoutError as E;
    let reversed = |bytes: &mut [u8]| bytes[..8].reverse();
    assert_eq!(attach_after(reversed, true), E::ForeignEndian);
    assert!(matches!(
        attach_after(put(0, 0x1234), true),
        E::NotALayout { found: 0x1234 }
    ));
    assert_eq!(attach_after(put(128, 0), true), E::NotReady);
    assert_eq!(attach_after(|bytes| bytes.fill(0), false), E::NotReady);
    assert_eq!(
        attach_after(|bytes| bytes[8] = 9, true),
        E::Version {
            expected: 1,
            found: 9
        }
    );
    assert!(matches!(
        attach_after(|bytes| bytes[60] = 1, false),
        E::Damaged { .. }
    ));
    // Numbers that overflow when multiplied or added, with a right checksum.
    for (offset, value) in [
        (32, u64::MAX),
        (40, 1 << 63),
        (96, u64::MAX),
        (104, u64::MAX),
    ] {
        let error = attach_after(put(offset, value), true);
        assert!(
            matches!(error, E::Impossible { .. } | E::TooLarge { .. }),
            "{offset}: {error}"
        );
    }
    let nine = |bytes: &mut [u8]| bytes[24] = 9;
    assert!(matches!(attach_after(nine, true), E::Impossible { .. }));
    // More elements than there is memory.
    assert!(matches!(
        attach_after(put(32, 1 << 20), true),
        E::Impossible { .. } | E::TooShort { .. }
    ));
}

/// Fault 28.
#[test]
fn a_wrong_kind_type_or_shape_is_refused_and_both_are_named() {
    let region = samples();
    let kind = Counter::attach(region).unwrap_err().to_string();
    assert_eq!(kind, "expected a counter, found an array");
    let kind = AtomicArray::<u64>::attach(region).unwrap_err().to_string();
    assert_eq!(kind, "expected an atomic array, found an array");
    let dtype = Array::<f64, Fake>::attach(region, Fake::new(1), ORIGIN);
    let dtype = dtype.unwrap_err().to_string();
    assert!(
        dtype.contains("'<f8'") && dtype.contains("[('x', '<f8'), "),
        "{dtype}"
    );
    // The same bytes under another name of field are another type, under another name of type the same.
    record! { struct Renamed { y: f64, n: u32, flags: [u16; 2] } }
    record! { struct Alias { x: f64, n: u32, flags: [u16; 2] } }
    assert!(Array::<Renamed, Fake>::attach(region, Fake::new(1), ORIGIN).is_err());
    assert!(Array::<Alias, Fake>::attach(region, Fake::new(1), ORIGIN).is_ok());
}

/// Fault 27.
#[test]
fn a_region_that_is_too_short_is_never_looked_at() {
    let full = Samples::required_len(&[3, 4]).unwrap();
    let region = samples();
    for len in [0, 1, 511, 512, 4095, full - 1] {
        // SAFETY: a part of the same memory.
        let part = unsafe { Region::new(region.as_ptr(), len) }.unwrap();
        let error = Samples::attach(part, Fake::new(1), ORIGIN).unwrap_err();
        assert!(matches!(error, LayoutError::TooShort { .. }), "{error}");
        // SAFETY: memory that nobody else has.
        let error = unsafe { Samples::place(part, Fake::new(1), ORIGIN, &[3, 4]) }.unwrap_err();
        assert!(matches!(error, LayoutError::TooShort { .. }), "{error}");
    }
}

#[test]
fn shapes_that_no_memory_holds_are_errors() {
    let required = |shape: &[usize]| Array::<u64, Fake>::required_len(shape);
    assert!(matches!(
        required(&[1; 9]),
        Err(LayoutError::TooManyDimensions { limit: 8, found: 9 })
    ));
    for shape in [&[usize::MAX][..], &[1 << 40, 1 << 40], &[0, usize::MAX, 2]] {
        assert!(matches!(required(shape), Err(LayoutError::TooLarge { .. })));
    }
    assert_eq!(required(&[0, 5]).unwrap(), 4096);
    assert_eq!(required(&[]).unwrap(), 4096 + 8);
    assert!(ShardedCounter::required_len(3).is_err());
}

/// Fault 9. Fault 10.
#[test]
fn another_namespace_or_boot_is_refused_and_burying_adopts() {
    let region = samples();
    let attach = |origin| Samples::attach(region, Fake::new(1), origin).map(drop);
    let elsewhere = [
        (
            Origin {
                pid_ns: 1,
                ..ORIGIN
            },
            "PID namespace",
        ),
        (
            Origin {
                time_ns: 1,
                ..ORIGIN
            },
            "time namespace",
        ),
        (Origin { boot: 1, ..ORIGIN }, "earlier boot"),
    ];
    for (origin, why) in elsewhere {
        let error = attach(origin).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let rebooted = Origin { boot: 1, ..ORIGIN };
    // SAFETY: nobody else has the region.
    unsafe { Samples::bury(region, Fake::new(1), rebooted) }.unwrap();
    attach(rebooted).unwrap();
    assert_eq!(attach(ORIGIN), Err(LayoutError::ForeignBoot));
}
