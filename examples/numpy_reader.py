"""Arrays of multiproc as NumPy arrays: the same memory, in which each side sees what the other writes.

    python3 examples/numpy_reader.py NAME    # of a segment, or the path of a file

As a module: `prices = numpy_reader.open_array("prices")`. It needs NumPy and nothing of multiproc. NumPy claims
nothing: who writes when is for the programs to agree on. core/src/header.rs draws the header.
"""

import ast
import fcntl
import os
import struct
import sys

import numpy as np

ARRAY, ATOMIC_ARRAY = 2, 3


def open_array(name, writable=True, offset=0):
    """The array in the segment `name`, or in a file if `name` has a slash; `offset` bytes from its start, if it has more.

    ValueError: there is something else.
    """
    path = name if "/" in name else "/dev/shm/" + name
    # SharedMemory(name) would do, too, but Python before 3.13 takes the name away when the process ends.
    with held(path, "r+b" if writable else "rb") as file:
        file.seek(offset)
        header = file.read(512)
        if header[:8] != b"MPROCSHM":
            raise ValueError(f"{path} is not of multiproc: it starts with {header[:8]}, not with b'MPROCSHM'")
        if len(header) < 512:
            raise ValueError(f"{path} is {len(header)} bytes long, a header takes 512")
        if header[128:136] != b"READY\0\0\0":
            raise ValueError(f"{path} is not ready: its maker has not finished")
        version, kind, _, _, ndim, dtype_len = struct.unpack_from("<6I", header, 8)
        *shape, start, _, total, checksum = struct.unpack_from("<12Q", header, 32)
        if version != 1:
            raise ValueError(f"{path} has layout version {version}, this reader knows version 1")
        if checksum != fnv1a(header[:120] + header[192:]):
            raise ValueError(f"{path} is damaged: its header does not match its own checksum")
        if kind not in (ARRAY, ATOMIC_ARRAY):
            raise ValueError(f"{path} is no array: it is of kind {kind}")
        memory = np.memmap(file, np.uint8, "r+" if writable else "r", offset)
    if memory.size < total:
        raise ValueError(f"{path} is {memory.size} bytes long, its header says {total}")
    dtype = np.dtype(ast.literal_eval(header[192 : 192 + dtype_len].decode()))
    return np.ndarray(shape[:ndim], dtype, memory, start)


def held(path, mode):
    """The file, locked for as long as it is open or mapped: so the Rust side knows that somebody has the segment."""
    while True:
        file = open(path, mode)
        fcntl.flock(file, fcntl.LOCK_SH)
        # Before it was locked it may have been left over, and another one been put in its place.
        if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
            return file
        file.close()


def fnv1a(data):
    """FNV-1a, eight bytes at a time."""
    digest = 0xCBF29CE484222325
    for (word,) in struct.iter_unpack("<Q", data):
        digest = (digest ^ word) * 0x100000001B3 % 2**64
    return digest


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        array = open_array(sys.argv[1], writable=False)
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
    np.set_printoptions(threshold=100)
    print(f"dtype {array.dtype}, shape {array.shape}", array, sep="\n")
