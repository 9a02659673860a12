//! Maps over shared arrays.

use multiproc::{Array, MapOptions, TaskError};

use crate::{common::kill_self, pools::with_pools};

const LEN: usize = 1000;

fn numbers() -> Array<u64> {
    let numbers: Vec<u64> = (0..LEN as u64).collect();
    Array::from_slice(&numbers).unwrap()
}

pub fn each_chunk_of_an_array_is_read_once() {
    with_pools(|pool| {
        let array = numbers();
        for size in [None, Some(1), Some(7), Some(LEN), Some(LEN * 2)] {
            let options = || match size {
                Some(size) => MapOptions::new().chunk_size(size),
                None => MapOptions::new(),
            };
            let read = |first: usize, chunk: &[u64]| {
                assert_eq!(chunk[0], first as u64);
                (first, chunk.len(), chunk.iter().sum::<u64>())
            };
            let told = pool.map_array(options(), &array, read).unwrap();
            let mut next = 0;
            for (first, len, _) in &told {
                assert_eq!(*first, next);
                next += len;
            }
            assert_eq!(next, LEN);
            let sum: u64 = told.iter().map(|(_, _, sum)| *sum).sum::<u64>();
            assert_eq!(sum, (0..LEN as u64).sum::<u64>());
            let chunks = size.map_or(4 * 2, |size| LEN.div_ceil(size));
            assert_eq!(told.len(), chunks);
        }
        let empty = Array::<u64>::zeroed(0);
        if let Ok(empty) = empty {
            let told = pool.map_array(MapOptions::new(), &empty, |_, chunk| chunk.len());
            assert!(told.unwrap().is_empty());
        }
    });
}

pub fn each_chunk_of_an_array_is_changed_in_place() {
    with_pools(|pool| {
        let array = numbers();
        let options = MapOptions::new().chunk_size(33);
        pool.for_each_chunk(options, &array, |first, chunk| {
            for (i, x) in (first as u64..).zip(chunk) {
                assert_eq!(*x, i);
                *x += 1;
            }
        })
        .unwrap();
        let expected: Vec<u64> = (1..=LEN as u64).collect();
        assert_eq!(array.to_vec().unwrap(), expected);
    });
}

pub fn chunks_of_the_killed_are_poisoned_and_no_others() {
    fn break_down(first: usize, chunk: &mut [u64]) {
        chunk.fill(7);
        match first {
            200 => kill_self(),
            500 => panic!("on purpose"),
            _ => {}
        }
    }
    with_pools(|pool| {
        let array = numbers();
        let options = || MapOptions::new().chunk_size(100);
        let error = pool
            .for_each_chunk(options(), &array, break_down)
            .unwrap_err();
        assert_eq!(error.index(), Some(2));
        assert_eq!(error.task_error().unwrap().signal(), Some(9));
        for start in (0..LEN).step_by(100) {
            let is_poisoned = array.read(start..start + 100).is_err();
            assert_eq!(is_poisoned, start == 200 || start == 500, "{start}");
        }
        // Whoever comes next is told, and the others do their work.
        let error = pool
            .map_array(options(), &array, |_, chunk| chunk.len())
            .unwrap_err();
        assert_eq!(error.index(), Some(2));
        let why = error.task_error().unwrap();
        assert!(matches!(why, TaskError::NotBegun { .. }), "{why}");
        assert!(why.to_string().contains("poison"), "{why}");
    });
}
