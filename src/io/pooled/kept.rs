//! What has been read, and nobody has taken yet.

use std::mem;

/// Bytes that were read, the first of them taken.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    taken: usize,
    /// In so many of the rest, from the first, no line ends.
    searched: usize,
}

impl Kept {
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn take(&mut self, count: usize) {
        self.taken += count;
        self.searched = self.searched.saturating_sub(count);
        if self.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.taken = 0;
        self.searched = 0;
    }

    /// Adds bytes behind the rest, in the place of what has been taken. The vector is of no more use.
    pub(super) fn put(&mut self, bytes: &mut Vec<u8>) {
        if self.is_empty() {
            mem::swap(&mut self.bytes, bytes);
        } else {
            self.bytes.drain(..self.taken);
            self.taken = 0;
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// How long the first line is, with its end. No byte is looked at twice.
    pub(super) fn find_line(&mut self) -> Option<usize> {
        let news = &self.rest()[self.searched..];
        let newline = news.iter().position(|byte| *byte == b'\n');
        match newline {
            Some(newline) => Some(self.searched + newline + 1),
            None => {
                self.searched = self.rest().len();
                None
            }
        }
    }

    #[cfg(all(test, not(ekio_loom)))]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    #[cfg(all(test, not(ekio_loom)))]
    pub(super) fn searched(&self) -> usize {
        self.searched
    }
}
