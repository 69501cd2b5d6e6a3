//! Keys, values, and when they expire. It does not look at the clock: who asks tells it the time.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

#[derive(Default)]
pub struct Store {
    entries: HashMap<Arc<[u8]>, Entry>,
    /// The keys that expire, the next one first.
    deadlines: BTreeSet<(Instant, Arc<[u8]>)>,
}

struct Entry {
    value: Vec<u8>,
    deadline: Option<Instant>,
}

impl Store {
    pub fn get(&mut self, key: &[u8], now: Instant) -> Option<&[u8]> {
        self.expire(key, now);
        self.entries.get(key).map(|entry| &*entry.value)
    }

    /// `Some(None)` is a key that does not expire.
    pub fn deadline(&mut self, key: &[u8], now: Instant) -> Option<Option<Instant>> {
        self.expire(key, now);
        self.entries.get(key).map(|entry| entry.deadline)
    }

    /// Sets the value, and the deadline or that there is none.
    pub fn set(&mut self, key: &[u8], value: Vec<u8>, deadline: Option<Instant>) {
        self.remove(key);
        let key: Arc<[u8]> = key.into();
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, Arc::clone(&key)));
        }
        self.entries.insert(key, Entry { value, deadline });
    }

    /// Sets the value of a key that may be there, and leaves its deadline alone.
    pub fn update(&mut self, key: &[u8], value: Vec<u8>) {
        match self.entries.get_mut(key) {
            Some(entry) => entry.value = value,
            None => self.set(key, value, None),
        }
    }

    /// False if there is no such key.
    pub fn set_deadline(&mut self, key: &[u8], deadline: Instant, now: Instant) -> bool {
        self.expire(key, now);
        let Some((key, mut entry)) = self.entries.remove_entry(key) else {
            return false;
        };
        if let Some(old) = entry.deadline.replace(deadline) {
            self.deadlines.remove(&(old, Arc::clone(&key)));
        }
        self.deadlines.insert((deadline, Arc::clone(&key)));
        self.entries.insert(key, entry);
        true
    }

    /// True if it was there.
    pub fn delete(&mut self, key: &[u8], now: Instant) -> bool {
        self.expire(key, now);
        self.remove(key)
    }

    /// Forgets what has expired.
    pub fn sweep(&mut self, now: Instant) {
        while let Some((deadline, key)) = self.deadlines.first() {
            if *deadline > now {
                return;
            }
            let key = Arc::clone(key);
            self.remove(&key);
        }
    }

    fn expire(&mut self, key: &[u8], now: Instant) {
        let entry = self.entries.get(key);
        let deadline = entry.and_then(|entry| entry.deadline);
        if deadline.is_some_and(|deadline| deadline <= now) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        let Some((key, entry)) = self.entries.remove_entry(key) else {
            return false;
        };
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, key));
        }
        true
    }

    /// How many keys there are, and how many of them expire.
    #[allow(dead_code)] // For the tests.
    pub fn len(&self) -> (usize, usize) {
        (self.entries.len(), self.deadlines.len())
    }
}
