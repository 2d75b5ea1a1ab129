//! Bytes that have been read from a socket and not been used yet.

use std::io;

/// A growing window over what a socket has delivered: filled at the end, used up at the start.
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub fn new() -> Buffer {
        Buffer { bytes: Vec::new(), start: 0, end: 0 }
    }

    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn consume(&mut self, n: usize) {
        self.start += n;
        assert!(self.start <= self.end, "no more is consumed than was read");
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Reads once, at most into a window of `n_bytes_max` unread bytes. `Ok(0)` is the end of the stream.
    pub fn fill(
        &mut self,
        n_bytes_max: usize,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        assert!(self.end < n_bytes_max, "there is room to read into");
        if self.bytes.len() < n_bytes_max {
            self.bytes.resize(n_bytes_max, 0);
        }
        let n_read = read(&mut self.bytes[self.end..n_bytes_max])?;
        self.end += n_read;
        Ok(n_read)
    }

    /// Gives large memory back once all has been used.
    pub fn shrink(&mut self, kept_bytes_max: usize) {
        if self.is_empty() && self.bytes.len() > kept_bytes_max {
            self.bytes = Vec::new();
        }
    }
}
