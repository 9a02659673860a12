//! A message between a parent and its child: whatever its bytes are, its reader says what they mean, or refuses.

/// Runs one input.
///
/// # Panics
///
/// When a promise is broken.
pub fn body(input: &[u8]) {
    if let Some(again) = multiproc::__fuzz::reread_frame(input) {
        assert_eq!(again, input, "two packets mean the same frame");
    }
}
