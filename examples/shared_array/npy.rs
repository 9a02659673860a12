//! NumPy's `.npy` files: any real dtype in, `<f8` out.
//!
//! A header is not believed before the length of the file agrees with it: a damaged one must not
//! decide how much memory is asked for. Integers beyond 2^53 are rounded to the nearest `f64`.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// How many numbers are read at a time.
const BLOCK: usize = 16_384;

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", .path.display())]
pub struct BadFile {
    path: PathBuf,
    why: Box<dyn Error>,
}

/// An open file whose header has been understood.
pub struct NpyFile {
    path: PathBuf,
    file: File,
    data_start: u64,
    layout: Layout,
}

/// Converts bytes to as many numbers.
type Decode = fn(&[u8], &mut [f64]);

struct Layout {
    shape: Vec<usize>,
    item_bytes: usize,
    decode: Decode,
}

impl NpyFile {
    pub fn open(path: &Path) -> Result<NpyFile, BadFile> {
        let path = path.to_owned();
        let understood = File::open(&path).map_err(Into::into).and_then(|mut file| {
            let header = read_header(&mut file)?;
            let data_start = file.stream_position()?;
            let layout = Layout::of(&header)?;
            layout.check(data_start, &file)?;
            Ok((file, data_start, layout))
        });
        match understood {
            Ok((file, data_start, layout)) => Ok(NpyFile {
                path,
                file,
                data_start,
                layout,
            }),
            Err(why) => Err(BadFile { path, why }),
        }
    }

    pub fn shape(&self) -> &[usize] {
        &self.layout.shape
    }

    /// Fills `numbers`, as many as the shape has, a block at a time.
    pub fn read(&mut self, numbers: &mut [f64]) -> Result<(), BadFile> {
        let mut read = || {
            let mut buffer = vec![0; self.layout.item_bytes * BLOCK];
            self.file.seek(SeekFrom::Start(self.data_start))?;
            for numbers in numbers.chunks_mut(BLOCK) {
                let bytes = &mut buffer[..numbers.len() * self.layout.item_bytes];
                self.file.read_exact(bytes)?;
                (self.layout.decode)(bytes, numbers);
            }
            Ok(())
        };
        read().map_err(|error: io::Error| BadFile {
            path: self.path.clone(),
            why: error.into(),
        })
    }
}

/// The dictionary before the data, as text.
fn read_header(file: &mut File) -> Result<String, Box<dyn Error>> {
    let mut start = [0; 8];
    let mut length = [0; 4];
    file.read_exact(&mut start)
        .map_err(|_| "not an .npy file")?;
    match start {
        [magic @ .., 1, _] if &magic == b"\x93NUMPY" => file.read_exact(&mut length[..2])?,
        [magic @ .., 2 | 3, _] if &magic == b"\x93NUMPY" => file.read_exact(&mut length)?,
        _ => return Err("not an .npy file of version 1, 2 or 3".into()),
    }
    let length = u32::from_le_bytes(length);
    let mut header = String::new();
    if file.take(length.into()).read_to_string(&mut header)? < length as usize {
        return Err("the header is cut short".into());
    }
    Ok(header)
}

impl Layout {
    fn of(header: &str) -> Result<Layout, Box<dyn Error>> {
        let value = |key: &str| {
            let found = header.split_once(&format!("'{key}':"));
            found
                .map(|(_, value)| value.trim_start())
                .ok_or(format!("the header lacks '{key}'"))
        };
        if !value("fortran_order")?.starts_with("False") {
            return Err("Fortran order is not supported: save numpy.ascontiguousarray(a)".into());
        }
        let dtype = value("descr")?
            .strip_prefix('\'')
            .and_then(|text| text.split_once('\''));
        let (dtype, _) = dtype.ok_or("structured dtypes are not supported")?;
        let (item_bytes, decode) =
            item(dtype).ok_or(format!("dtype '{dtype}' is not supported"))?;
        let tuple = value("shape")?
            .strip_prefix('(')
            .and_then(|text| text.split_once(')'));
        let dims = tuple
            .ok_or("the shape is no tuple")?
            .0
            .split(',')
            .map(str::trim);
        let parse = |dim: &str| {
            dim.parse()
                .map_err(|error| format!("dimension {dim}: {error}"))
        };
        let shape: Vec<usize> = dims
            .filter(|dim| !dim.is_empty())
            .map(parse)
            .collect::<Result<_, String>>()?;
        if shape.len() > 8 {
            return Err(format!("{} dimensions, shared arrays have 8 at most", shape.len()).into());
        }
        Ok(Layout {
            shape,
            item_bytes,
            decode,
        })
    }

    /// Whether the file is as long as it must be.
    fn check(&self, data_start: u64, file: &File) -> Result<(), Box<dyn Error>> {
        let bytes = self
            .shape
            .iter()
            .try_fold(self.item_bytes, |n, &dim| n.checked_mul(dim));
        let expected = bytes.and_then(|bytes| data_start.checked_add(bytes as u64));
        let expected = expected.ok_or(format!("the shape {:?} is too large", self.shape))?;
        let found = file.metadata()?.len();
        match found {
            _ if found < expected => Err(format!("truncated: {found} bytes of {expected}").into()),
            _ if found > expected => Err(format!("{} bytes too long", found - expected).into()),
            _ => Ok(()),
        }
    }
}

/// The size of an item in bytes, and how to convert items.
fn item(dtype: &str) -> Option<(usize, Decode)> {
    fn each<const N: usize>(bytes: &[u8], numbers: &mut [f64], convert: fn([u8; N]) -> f64) {
        for (number, item) in numbers.iter_mut().zip(bytes.as_chunks().0) {
            *number = convert(*item);
        }
    }
    macro_rules! items {
        ($($little:pat, $big:pat => $type:ty;)*) => {
            match dtype {
                $($little => Some((size_of::<$type>(), |bytes, numbers| {
                    each(bytes, numbers, |item| <$type>::from_le_bytes(item) as f64)
                })),
                $big => Some((size_of::<$type>(), |bytes, numbers| {
                    each(bytes, numbers, |item| <$type>::from_be_bytes(item) as f64)
                })),)*
                _ => None,
            }
        };
    }
    items! {
        "<f4", ">f4" => f32;
        "<f8", ">f8" => f64;
        "<i1" | "|i1", ">i1" => i8;
        "<i2", ">i2" => i16;
        "<i4", ">i4" => i32;
        "<i8", ">i8" => i64;
        "<u1" | "|u1", ">u1" => u8;
        "<u2", ">u2" => u16;
        "<u4", ">u4" => u32;
        "<u8", ">u8" => u64;
    }
}

/// Writes `numbers` as an array of `shape`. The file appears under its name once it is whole.
pub fn write(path: &Path, shape: &[usize], numbers: &[f64]) -> io::Result<()> {
    let dims: String = shape.iter().map(|dim| format!("{dim}, ")).collect();
    let dict = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({dims}), }}");
    // The data starts at a multiple of 64 bytes, with 10 before the text and a line feed after it.
    let width = (dict.len() + 11).next_multiple_of(64) - 11;
    let part = path.with_added_extension("part");
    let mut file = BufWriter::new(File::create(&part)?);
    file.write_all(b"\x93NUMPY\x01\x00")?;
    file.write_all(&(width as u16 + 1).to_le_bytes())?;
    writeln!(file, "{dict:width$}")?;
    for number in numbers {
        file.write_all(&number.to_le_bytes())?;
    }
    file.flush()?;
    fs::rename(part, path)
}
