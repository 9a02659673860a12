//! One process fills frames in place in a ring in shared memory, another reads them where they are: nothing is copied.
//!
//! ```text
//! cargo run --release --example frames
//! ```

use std::time::Instant;

use multiproc::{Process, Producer, Raw, RecvError, capacity_for, spsc_raw};

/// A frame is so many numbers: 256 KiB.
const FRAME: usize = 1 << 16;
const FRAMES: u32 = 20_000;

/// What stands in a frame: its number, and from there on upwards.
fn pixel(frame: u32, i: usize) -> u32 {
    frame.wrapping_add(i as u32)
}

fn film(mut frames: Producer<u32, Raw>) {
    for number in 0..FRAMES {
        let mut frame = frames.reserve(FRAME).unwrap(); // waits for room
        for (i, at) in frame.iter_mut().enumerate() {
            *at = pixel(number, i);
        }
        frame.send(); // a frame that is dropped instead was never there
    }
}

fn sum(frame: &[u32]) -> u64 {
    frame.iter().map(|pixel| u64::from(*pixel)).sum()
}

fn main() -> Result<(), multiproc::Error> {
    multiproc::init();
    // Room for a few: the faster of the two waits for the other.
    let (producer, mut consumer) = spsc_raw(capacity_for::<[u32; FRAME]>(6))?;
    let camera = Process::spawn(film, producer)?;
    let (begun, mut frames, mut checksum) = (Instant::now(), 0, 0u64);
    loop {
        match consumer.recv_ref() {
            Ok(frame) => checksum = checksum.wrapping_add(sum(&frame)), // taken when it is dropped
            Err(RecvError::Disconnected) => break,
            Err(error) => return Err(error.into()),
        }
        frames += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    camera.join()?;
    assert_eq!(frames, FRAMES);
    let gibibytes = f64::from(FRAMES) * size_of::<[u32; FRAME]>() as f64 / (1u64 << 30) as f64;
    println!(
        "{:.0} frames/s, {:.1} GiB/s, checksum {checksum:#018x}",
        f64::from(FRAMES) / seconds,
        gibibytes / seconds,
    );
    Ok(())
}
