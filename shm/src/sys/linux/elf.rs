//! Where the code of the running executable lies, so that a function can be named by its distance from another one.

use std::{ffi::c_void, ops::Range, ptr, slice, sync::OnceLock};

/// Whether `address` lies in the code of the executable itself, not of a library that it loaded.
pub(crate) fn is_own_code(address: usize) -> bool {
    static CODE: OnceLock<Vec<Range<usize>>> = OnceLock::new();
    CODE.get_or_init(own_code)
        .iter()
        .any(|range| range.contains(&address))
}

fn own_code() -> Vec<Range<usize>> {
    let mut code = Vec::new();
    // SAFETY: `first_object` has the signature that is called, and `code` outlives the walk.
    unsafe { libc::dl_iterate_phdr(Some(first_object), ptr::from_mut(&mut code).cast()) };
    code
}

/// Notes the executable segments of the object that the walk shows first: the executable.
unsafe extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    code: *mut c_void,
) -> libc::c_int {
    // SAFETY: the walk passes a valid description of an object.
    let info = unsafe { &*info };
    // SAFETY: what `own_code` passed.
    let code = unsafe { &mut *code.cast::<Vec<Range<usize>>>() };
    // SAFETY: the object has that many program headers, mapped for as long as the program runs.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    for header in headers {
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
            // The base wraps round for executables that are linked below it.
            let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            code.push(start..start.saturating_add(header.p_memsz as usize));
        }
    }
    // Not 0: the walk ends here.
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_the_executable_are_its_own_and_those_of_libraries_are_not() {
        assert!(is_own_code(own_code as fn() -> Vec<Range<usize>> as usize));
        assert!(!is_own_code(ptr::from_ref(&0u8).addr()));
        #[cfg(not(target_feature = "crt-static"))]
        assert!(!is_own_code(libc::getpid as *const () as usize));
    }
}
