//! Arrays of this library, in NumPy.

use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use multiproc::{Array, AtomicArray, Create, Element, Value};

use crate::{
    Tick, new_name,
    python::{self, Python, read, run},
};

fn path_of(name: &str) -> PathBuf {
    Path::new("/dev/shm").join(name)
}

pub fn an_array_is_read_with_its_dtype_and_shape() {
    let name = new_name();
    let array = Array::<f64>::create(name.as_str(), [2, 3]).unwrap();
    array
        .lock()
        .unwrap()
        .copy_from_slice(&[0.0, 1.0, 2.0, 3.5, 4.0, 5.0]);
    assert_eq!(
        read(&name).unwrap(),
        "dtype float64, shape (2, 3)\n[[0.  1.  2. ]\n [3.5 4.  5. ]]\n"
    );
}

pub fn a_struct_is_read_field_by_field() {
    let name = new_name();
    let array = Array::<Tick>::create(name.as_str(), 2).unwrap();
    let tick = Tick {
        at: 1.5,
        size: 7,
        side: [1, 2],
    };
    array.set(1, tick).unwrap();
    assert_eq!(
        read(&name).unwrap(),
        "dtype [('at', '<f8'), ('size', '<u4'), ('side', '<u2', (2,))], shape (2,)\n\
         [(0. , 0, [0, 0]) (1.5, 7, [1, 2])]\n"
    );
}

pub fn elements_that_are_arrays_are_further_dimensions() {
    let name = new_name();
    let array = Array::<[[i16; 3]; 2]>::create(name.as_str(), 2).unwrap();
    array.set(1, [[1, 2, 3], [4, 5, 6]]).unwrap();
    assert_eq!(
        read(&name).unwrap(),
        "dtype int16, shape (2, 2, 3)\n\
         [[[0 0 0]\n  [0 0 0]]\n\n [[1 2 3]\n  [4 5 6]]]\n"
    );
}

pub fn all_dimensions_are_read_and_none() {
    let name = new_name();
    let array = Array::<u8>::create(name.as_str(), [1, 2, 1, 1, 2, 1, 1, 2]).unwrap();
    array.set(5, 1).unwrap();
    let script = "a = numpy_reader.open_array(sys.argv[1]); print(a.shape, a.ravel().tolist())";
    assert_eq!(
        run(script, &[&name]),
        "(1, 2, 1, 1, 2, 1, 1, 2) [0, 0, 0, 0, 0, 1, 0, 0]"
    );
    drop(array);
    let scalar = Array::<u8>::create(name.as_str(), [0_usize; 0]).unwrap();
    scalar.set(0, 9).unwrap();
    assert_eq!(read(&name).unwrap(), "dtype uint8, shape ()\n9\n");
    drop(scalar);
    let _empty = Array::<u8>::create(name.as_str(), [3, 0]).unwrap();
    assert_eq!(read(&name).unwrap(), "dtype uint8, shape (3, 0)\n[]\n");
}

pub fn each_element_type_is_numpys_own() {
    let script = "
import ast
for text in sys.argv[1:]:
    dtype = np.dtype(ast.literal_eval(text))
    print(dtype.name, dtype.itemsize, dtype.isnative)";
    macro_rules! each {
        ($($type:ty => $name:literal),* $(,)?) => {
            let told = run(script, &[$(<$type>::DTYPE.as_str()),*]);
            let expected = [$(format!("{} {} True", $name, size_of::<$type>())),*];
            assert_eq!(told.lines().collect::<Vec<_>>(), expected);
        };
    }
    each! {
        u8 => "uint8", u16 => "uint16", u32 => "uint32", u64 => "uint64", usize => "uint64",
        i8 => "int8", i16 => "int16", i32 => "int32", i64 => "int64", isize => "int64",
        f32 => "float32", f64 => "float64", u128 => "void128", i128 => "void128",
    }
}

pub fn each_side_sees_what_the_other_writes() {
    let name = new_name();
    let array = Array::<f64>::create(name.as_str(), [2, 2]).unwrap();
    let mut python = Python::start(
        "
a = numpy_reader.open_array(sys.argv[1])
print(a[0, 1])
a[1] = [3, 4]
print('written')
hear()
print(a[0, 0])",
        &[&name],
    );
    assert_eq!(python.hear(), "0.0");
    assert_eq!(python.hear(), "written");
    assert_eq!(array.to_vec().unwrap(), [0.0, 0.0, 3.0, 4.0]);
    array.set(0, 2.5).unwrap();
    python.tell("look");
    assert_eq!(python.hear(), "2.5");
    python.end();
}

pub fn fields_of_structs_are_written_in_place() {
    let name = new_name();
    let array = Array::<Tick>::create(name.as_str(), 3).unwrap();
    let script = "
a = numpy_reader.open_array(sys.argv[1])
a['size'] = [1, 2, 3]
a[1]['side'] = [8, 9]";
    run(script, &[&name]);
    let ticks = array.to_vec().unwrap();
    assert_eq!(
        ticks.iter().map(|tick| tick.size).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(ticks[1].side, [8, 9]);
}

pub fn arrays_of_atomics_and_arrays_in_files_are_arrays_too() {
    let name = new_name();
    let counts = AtomicArray::<u32>::create(name.as_str(), 3).unwrap();
    run("numpy_reader.open_array(sys.argv[1])[:] += 5", &[&name]);
    assert_eq!(counts.to_vec(), [5; 3]);

    let path = std::env::temp_dir().join(&name);
    let file = Array::<i64>::create(path.as_path(), 2).unwrap();
    run(
        "numpy_reader.open_array(sys.argv[1])[:] = [-1, 1]",
        &[path.to_str().unwrap()],
    );
    assert_eq!(file.to_vec().unwrap(), [-1, 1]);
    fs::remove_file(path).unwrap();
}

pub fn an_array_may_lie_behind_something_else() {
    let name = new_name();
    let array = Array::create_from_slice(name.as_str(), &[1.5, 2.5]).unwrap();
    let whole = fs::read(path_of(&name)).unwrap();
    drop(array);
    let path = std::env::temp_dir().join(&name);
    fs::write(&path, [vec![0xee; 640], whole].concat()).unwrap();
    let script = "
a = numpy_reader.open_array(sys.argv[1], offset=640)
print(a)
a[0] = 0";
    let label = path.to_str().unwrap();
    assert_eq!(run(script, &[label]), "[1.5 2.5]");
    let changed = fs::read(&path).unwrap();
    assert_eq!(changed[..640], [0xee; 640]);
    assert_eq!(changed[640 + 4096..][..8], [0; 8]);
    fs::remove_file(path).unwrap();
}

pub fn who_opens_for_reading_cannot_write() {
    let name = new_name();
    let array = Array::<u64>::create(name.as_str(), 2).unwrap();
    let script = "
a = numpy_reader.open_array(sys.argv[1], writable=False)
try:
    a[0] = 1
except ValueError as error:
    print(error)";
    assert_eq!(run(script, &[&name]), "assignment destination is read-only");
    assert_eq!(array.to_vec().unwrap(), [0, 0]);
}

pub fn a_segment_is_held_while_numpy_has_it_and_its_name_stays() {
    let name = new_name();
    drop(Array::<u64>::create(Create::named(&name).persist(true), 1).unwrap());
    let mut python = Python::start(
        "
a = numpy_reader.open_array(sys.argv[1])
print('open')
hear()",
        &[&name],
    );
    python.hear();
    let file = File::open(path_of(&name)).unwrap();
    assert!(matches!(file.try_lock(), Err(TryLockError::WouldBlock)));
    python.tell("end");
    python.end();
    file.try_lock().unwrap();
    drop(file);
    Array::<u64>::open(name.as_str()).unwrap();
    multiproc::Segment::remove(&name).unwrap();
}

pub fn a_name_made_anew_while_numpy_opens_it_is_the_new_array() {
    let name = new_name();
    let keep = || Create::named(&name).persist(true);
    drop(Array::create_from_slice(keep(), &[1.0]).unwrap());
    // As one who has found it left over, and is about to take its name away.
    let old = File::open(path_of(&name)).unwrap();
    old.lock().unwrap();
    let waiter = format!(":{} ", old.metadata().unwrap().ino());
    let python = Python::start(
        "print(numpy_reader.open_array(sys.argv[1], writable=False))",
        &[&name],
    );
    python::wait_until(|| {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks
            .lines()
            .any(|line| line.contains("->") && line.contains(&waiter))
    });
    multiproc::Segment::remove(&name).unwrap();
    let _new = Array::create_from_slice(name.as_str(), &[2.0]).unwrap();
    drop(old);
    assert_eq!(python.hear(), "[2.]");
    python.end();
}

/// Tries to open what it is told, and says why that does not go.
const OPENER: &str = "
while (path := hear()) != 'end':
    try:
        numpy_reader.open_array(path)
        print('opened')
    except ValueError as error:
        print(error)
";

pub fn what_is_no_array_is_refused_with_a_reason() {
    let name = new_name();
    let array = Array::create_from_slice(name.as_str(), &[1.0; 8]).unwrap();
    let whole = fs::read(path_of(&name)).unwrap();
    drop(array);
    let value = Value::create(name.as_str(), 1.0).unwrap();
    let no_array = fs::read(path_of(&name)).unwrap();
    drop(value);
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 2;
        bytes
    };
    let mut cases = vec![
        (
            vec![],
            "is not of multiproc: it starts with b'', not with b'MPROCSHM'",
        ),
        (
            b"PK\x03\x04 and so on".to_vec(),
            r"is not of multiproc: it starts with b'PK\x03\x04 and', not with b'MPROCSHM'",
        ),
        (
            whole[..511].to_vec(),
            "is 511 bytes long, a header takes 512",
        ),
        (
            whole[..whole.len() - 1].to_vec(),
            "is 4159 bytes long, its header says 4160",
        ),
        (
            changed(8),
            "has layout version 3, this reader knows version 1",
        ),
        (changed(128), "is not ready: its maker has not finished"),
        (no_array, "is no array: it is of kind 1"),
    ];
    // The kind, the shape, the place and length of the data, the checksum itself, the dtype.
    for at in [12, 24, 32, 96, 112, 120, 192, 511] {
        let why = "is damaged: its header does not match its own checksum";
        cases.push((changed(at), why));
    }
    let path = std::env::temp_dir().join(&name);
    let label = path.to_str().unwrap();
    let mut python = Python::start(OPENER, &[]);
    for (bytes, why) in cases {
        fs::write(&path, bytes).unwrap();
        assert_eq!(python.ask(label), format!("{label} {why}"));
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(python.ask(label), "opened");
    python.tell("end");
    python.end();
    fs::remove_file(&path).unwrap();
    assert_eq!(
        read(label).unwrap_err(),
        format!("error: [Errno 2] No such file or directory: '{label}'\n")
    );
}
