//! NumPy's `.npy` files: any real dtype in, `<f8` out.
//!
//! A file is not believed before it was checked: a damaged one must not decide how much memory is asked for, nor how
//! long reading its header takes. Integers beyond 2^53 are rounded to the nearest `f64`.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, BufWriter, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use npyz::{DType, Deserialize, NpyHeader, Order, TypeChar, WriteOptions, WriterBuilder};

/// The longest header that is read, in bytes; NumPy has the same limit.
const LONGEST_HEADER: u64 = 10_000;

/// A file that cannot be used: which, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub struct BadFile {
    path: PathBuf,
    why: Box<dyn Error>,
}

/// An open file whose header has been understood.
pub struct NpyFile {
    pub shape: Vec<usize>,
    file: File,
    header: NpyHeader,
    data_start: u64,
    item_bytes: usize,
    decode: Decode,
}

/// Converts as many items of a file as there is room for.
type Decode = fn(npyz::NpyFile<&[u8]>, &mut [f64]) -> io::Result<()>;

impl NpyFile {
    pub fn open(path: impl AsRef<Path>) -> Result<NpyFile, BadFile> {
        let path = path.as_ref();
        NpyFile::understand(path).map_err(|why| {
            let path = path.to_owned();
            BadFile { path, why }
        })
    }

    fn understand(path: &Path) -> Result<NpyFile, Box<dyn Error>> {
        let file = File::open(path)?;
        let mut start = Vec::new();
        (&file).take(LONGEST_HEADER + 12).read_to_end(&mut start)?;
        check_header(&start)?;
        let mut rest = &start[..];
        let header = NpyHeader::from_reader(&mut rest)?;
        let data_start = (start.len() - rest.len()) as u64;

        if header.order() == Order::Fortran {
            return Err("Fortran order is not supported: save numpy.ascontiguousarray(a)".into());
        }
        let dtype = header.dtype();
        let (item_bytes, decode) =
            items(&dtype).ok_or_else(|| format!("dtype {} is not supported", dtype.descr()))?;
        let dims = header.shape();
        if dims.len() > 8 {
            return Err(format!("{} dimensions, shared arrays have 8 at most", dims.len()).into());
        }
        let too_large = || format!("the shape {dims:?} is too large");
        let shape: Result<Vec<usize>, _> = dims.iter().map(|&dim| dim.try_into()).collect();
        let shape = shape.map_err(|_| too_large())?;
        // npyz multiplies them too, unchecked: its products are not to be used.
        let bytes = shape
            .iter()
            .try_fold(item_bytes, |n, &dim| n.checked_mul(dim));
        let expected = bytes.and_then(|bytes| data_start.checked_add(bytes as u64));
        let expected = expected.ok_or_else(too_large)?;
        match file.metadata()?.len() {
            found if found < expected => Err(format!("truncated: {found} bytes of {expected}"))?,
            found if found > expected => Err(format!("{} bytes too long", found - expected))?,
            _ => Ok(NpyFile {
                shape,
                file,
                header,
                data_start,
                item_bytes,
                decode,
            }),
        }
    }

    /// Fills `numbers` with those from `index` on.
    pub fn read(&self, index: usize, numbers: &mut [f64]) -> io::Result<()> {
        let mut bytes = vec![0; numbers.len() * self.item_bytes];
        let place = self.data_start + (index * self.item_bytes) as u64;
        self.file.read_exact_at(&mut bytes, place)?;
        let items = npyz::NpyFile::with_header(self.header.clone(), &bytes[..]);
        (self.decode)(items, numbers)
    }
}

/// npyz allocates what a header says of its own length, and parses brackets within brackets by recursion and in
/// exponential time. A header of plain numbers has one dictionary, one tuple and no list.
fn check_header(start: &[u8]) -> Result<(), &'static str> {
    let (length, rest) = match start.strip_prefix(b"\x93NUMPY") {
        Some([1, 0, a, b, rest @ ..]) => (u32::from_le_bytes([*a, *b, 0, 0]), rest),
        Some([2 | 3, 0, a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]), rest),
        _ => return Err("not an .npy file of version 1, 2 or 3"),
    };
    let header = rest.get(..length as usize);
    let header = header.ok_or("the header is cut short, or longer than 10,000 bytes")?;
    let count = |bracket| header.iter().filter(|byte| **byte == bracket).count();
    match (count(b'['), count(b'('), count(b'{')) {
        (0, ..=1, ..=1) => Ok(()),
        (0, ..) => Err("the header holds tuples or dictionaries within each other"),
        _ => Err("structured dtypes are not supported"),
    }
}

/// The size of an item in bytes, and how to convert items.
fn items(dtype: &DType) -> Option<(usize, Decode)> {
    use TypeChar::{Float, Int, Uint};
    let DType::Plain(dtype) = dtype else {
        return None;
    };
    let decode: Decode = match (dtype.type_char(), dtype.size_field()) {
        (Float, 4) => |from, to| decode(from, to, |x: f32| x.into()),
        (Float, 8) => |from, to| decode(from, to, |x: f64| x),
        (Int, 1) => |from, to| decode(from, to, |x: i8| x.into()),
        (Int, 2) => |from, to| decode(from, to, |x: i16| x.into()),
        (Int, 4) => |from, to| decode(from, to, |x: i32| x.into()),
        (Int, 8) => |from, to| decode(from, to, |x: i64| x as f64),
        (Uint, 1) => |from, to| decode(from, to, |x: u8| x.into()),
        (Uint, 2) => |from, to| decode(from, to, |x: u16| x.into()),
        (Uint, 4) => |from, to| decode(from, to, |x: u32| x.into()),
        (Uint, 8) => |from, to| decode(from, to, |x: u64| x as f64),
        _ => return None,
    };
    Some((dtype.num_bytes()?, decode))
}

fn decode<T: Deserialize>(
    from: npyz::NpyFile<&[u8]>,
    to: &mut [f64],
    convert: impl Fn(T) -> f64,
) -> io::Result<()> {
    let items = from.data().map_err(io::Error::other)?;
    to.iter_mut().zip(items).try_for_each(|(number, item)| {
        *number = convert(item?);
        Ok(())
    })
}

/// Writes `numbers` as an array of `shape`. The file appears under its name once it is whole.
pub fn write(path: &Path, shape: &[usize], numbers: &[f64]) -> io::Result<()> {
    let part = path.with_added_extension("part");
    let file = BufWriter::new(File::create(&part)?);
    let shape: Vec<u64> = shape.iter().map(|&dim| dim as u64).collect();
    let options = WriteOptions::new().default_dtype().shape(&shape);
    let mut writer = options.writer(file).begin_nd()?;
    writer.extend(numbers.iter().copied())?;
    writer.finish()?;
    fs::rename(part, path)
}
