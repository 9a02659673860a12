//! Python's `SharedMemory`, in this library.

use std::{thread, time::Duration};

use multiproc::{Create, Error, Open, RawArray};

use crate::{
    Tick, new_name,
    python::{Python, run},
};

/// Makes a block, does with it what it is told, and takes its name away at the end.
const OWNER: &str = "
name, dtype, shape = sys.argv[1], np.dtype(eval(sys.argv[2])), eval(sys.argv[3])
block = SharedMemory(name, create=True, size=int(np.prod(shape)) * dtype.itemsize)
a = np.ndarray(shape, dtype, block.buf)
a[...] = np.zeros(shape, dtype)
print('made', block.size)
while (line := hear()) != 'end':
    exec(line)
del a
block.close()
block.unlink()
";

pub fn a_block_is_an_array_and_each_side_sees_what_the_other_writes() {
    let name = new_name();
    let mut python = Python::start(OWNER, &[&name, "'<f8'", "(2, 3)"]);
    assert_eq!(python.hear(), "made 48");
    let mut array = RawArray::<f64>::open(name.as_str(), [2, 3]).unwrap();
    assert_eq!(python.ask("a[1, 2] = 1.5; print(a[1, 2])"), "1.5");
    // SAFETY: Python waits to be told.
    let elements = unsafe { array.as_mut_slice() };
    assert_eq!(elements, [0.0, 0.0, 0.0, 0.0, 0.0, 1.5]);
    elements[3] = -2.0;
    assert_eq!(
        python.ask("print(a.tolist())"),
        "[[0.0, 0.0, 0.0], [-2.0, 0.0, 1.5]]"
    );
    python.tell("end");
    python.end();
    // The memory outlives its name.
    // SAFETY: Python has ended.
    assert_eq!(unsafe { array.load_racy(5) }, Some(1.5));
    let error = RawArray::<f64>::open(name.as_str(), 6).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

pub fn a_block_of_structs_is_an_array_of_records() {
    let name = new_name();
    let dtype = "[('at', '<f8'), ('size', '<u4'), ('side', '<u2', (2,))]";
    let mut python = Python::start(OWNER, &[&name, dtype, "(2,)"]);
    assert_eq!(python.hear(), "made 32");
    let array = RawArray::<Tick>::open(name.as_str(), 2).unwrap();
    python.ask("a[1] = (0.5, 3, [1, 2]); print('done')");
    // SAFETY: Python waits to be told, now and below.
    let mut tick = unsafe { array.load_racy(1) }.unwrap();
    assert_eq!((tick.at, tick.size, tick.side), (0.5, 3, [1, 2]));
    tick.size = 4;
    // SAFETY: as above.
    assert!(unsafe { array.store_racy(0, tick) });
    assert_eq!(
        python.ask("print(*(a[field].tolist() for field in a.dtype.names))"),
        "[0.5, 0.5] [4, 3] [[1, 2], [1, 2]]"
    );
    python.tell("end");
    python.end();
}

pub fn a_block_is_as_long_as_python_was_told() {
    let name = new_name();
    let mut python = Python::start(OWNER, &[&name, "'|u1'", "(13,)"]);
    assert_eq!(python.hear(), "made 13");
    assert_eq!(
        RawArray::<u8>::open(name.as_str(), 13)
            .unwrap()
            .segment()
            .len(),
        13
    );
    let error = RawArray::<f64>::open(name.as_str(), 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("segment {name:?} is 13 bytes long, at least 16 are needed")
    );
    let error = RawArray::<u16>::open_at(name.as_str(), 3, 1).unwrap_err();
    assert!(matches!(error, Error::MisalignedOffset { .. }), "{error}");
    python.tell("end");
    python.end();
}

pub fn who_opens_a_block_for_reading_sees_python_write() {
    let name = new_name();
    let mut python = Python::start(OWNER, &[&name, "'<u4'", "(4,)"]);
    python.hear();
    let array = RawArray::<u32>::open_read_only(name.as_str(), 4).unwrap();
    for round in 1..=3 {
        python.ask(&format!("a += {round}; print('done')"));
        // SAFETY: Python waits to be told.
        assert_eq!(unsafe { array.load_racy(2) }, Some((1..=round).sum()));
    }
    python.tell("end");
    python.end();
}

pub fn a_block_that_is_not_there_yet_is_waited_for() {
    let name = new_name();
    let open = Open::named(&name).wait(Duration::from_secs(60));
    let opener = thread::spawn(|| RawArray::<f64>::open(open, 2));
    let mut python = Python::start(OWNER, &[&name, "'<f8'", "(2,)"]);
    python.hear();
    assert_eq!(opener.join().unwrap().unwrap().len(), 2);
    python.tell("end");
    python.end();
}

pub fn python_opens_what_was_made_here() {
    let name = new_name();
    let mut array = RawArray::<i32>::create(name.as_str(), [2, 2]).unwrap();
    // SAFETY: nobody else has it.
    unsafe { array.as_mut_slice() }.copy_from_slice(&[1, 2, 3, 4]);
    let script = "
block = attached(sys.argv[1])
a = np.ndarray((2, 2), '<i4', block.buf)
print(block.size, a.tolist())
a *= 10
del a
block.close()";
    assert_eq!(run(script, &[&name]), "16 [[1, 2], [3, 4]]");
    // SAFETY: Python has ended.
    assert_eq!(unsafe { array.as_slice() }, [10, 20, 30, 40]);
}

pub fn a_name_is_one_for_both_languages() {
    let name = new_name();
    let _here = RawArray::<u8>::create(Create::named(&name), 1).unwrap();
    let script = "
try:
    SharedMemory(sys.argv[1], create=True, size=1)
except FileExistsError:
    print('taken')";
    assert_eq!(run(script, &[&name]), "taken");

    let there = new_name();
    let mut python = Python::start(OWNER, &[&there, "'|u1'", "(1,)"]);
    python.hear();
    let error = RawArray::<u8>::create(there.as_str(), 1).unwrap_err();
    assert!(error.is_already_exists(), "{error}");
    python.tell("end");
    python.end();
    RawArray::<u8>::create(there.as_str(), 1).unwrap();
}

pub fn what_python_left_behind_is_unlinked_here() {
    let name = new_name();
    let script = "
block = SharedMemory(sys.argv[1], create=True, size=8)
resource_tracker.unregister(block._name, 'shared_memory')";
    run(script, &[&name]);
    let array = RawArray::<f64>::open(name.as_str(), 1).unwrap();
    array.segment().unlink().unwrap();
    let script = "
try:
    SharedMemory(sys.argv[1])
except FileNotFoundError:
    print('gone')";
    assert_eq!(run(script, &[&name]), "gone");
}
