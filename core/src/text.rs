//! A short text of fixed room, built at compile time and stored in headers.

use core::fmt;

/// How many bytes a [`Text`] has room for.
pub const TEXT_ROOM: usize = 320;

/// ASCII text of up to [`TEXT_ROOM`] bytes: a NumPy dtype descriptor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; TEXT_ROOM],
    len: usize,
}

impl Text {
    /// No text.
    #[must_use]
    pub const fn new() -> Text {
        Text {
            bytes: [0; TEXT_ROOM],
            len: 0,
        }
    }

    /// This text with `more` behind it.
    ///
    /// # Panics
    ///
    /// When there is no room. At compile time, where types build their descriptors, that is a compile error.
    #[must_use]
    pub const fn with(self, more: &str) -> Text {
        self.with_bytes(more.as_bytes())
    }

    /// This text with another text behind it; panics as [`with`](Text::with) does.
    #[must_use]
    pub const fn with_text(self, more: &Text) -> Text {
        let (text, _) = more.bytes.split_at(more.len);
        self.with_bytes(text)
    }

    /// This text with a decimal number behind it; panics as [`with`](Text::with) does.
    #[must_use]
    pub const fn with_number(self, number: usize) -> Text {
        let text = if number >= 10 {
            self.with_number(number / 10)
        } else {
            self
        };
        text.with_bytes(&[b'0' + (number % 10) as u8])
    }

    const fn with_bytes(mut self, more: &[u8]) -> Text {
        assert!(
            self.len + more.len() <= TEXT_ROOM,
            "the dtype descriptor of this type is longer than 320 bytes"
        );
        let mut i = 0;
        while i < more.len() {
            assert!(
                b' ' <= more[i] && more[i] <= b'~',
                "a dtype descriptor, and so every field of a record, is named in printable ASCII"
            );
            self.bytes[self.len + i] = more[i];
            i += 1;
        }
        self.len += more.len();
        self
    }

    /// The text in the first `len` bytes, or `None` when it is too long or not printable ASCII.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; TEXT_ROOM], len: usize) -> Option<Text> {
        let text = bytes.get(..len)?;
        if !text.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return None;
        }
        Some(Text::new().with_bytes(text))
    }

    /// Whether there is no text.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The text as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only `&str`, digits and printable ASCII ever get in, so there is always a string.
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    /// All its bytes, zeros behind the text.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; TEXT_ROOM] {
        &self.bytes
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::new()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The beginning of a [`Text`], short enough for an error to carry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; Excerpt::ROOM],
    /// The length of the whole text.
    len: usize,
}

impl Excerpt {
    const ROOM: usize = 64;

    /// The beginning of `text`.
    #[must_use]
    pub fn of(text: &Text) -> Excerpt {
        let mut bytes = [0; Excerpt::ROOM];
        let len = text.len.min(Excerpt::ROOM);
        bytes[..len].copy_from_slice(&text.bytes[..len]);
        Excerpt {
            bytes,
            len: text.len,
        }
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.bytes[..self.len.min(Excerpt::ROOM)];
        f.write_str(core::str::from_utf8(text).unwrap_or_default())?;
        f.write_str(if self.len > Excerpt::ROOM { "…" } else { "" })
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
