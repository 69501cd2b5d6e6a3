//! The slots of one reactor, by key.
//!
//! A key is a place in the table and the *generation* of that place, which moves on each time the
//! place is given up. So an event that was on its way when its slot left finds no slot, instead of
//! that slot's successor (`a03_fd_reuse_dup`).

use crate::poller::Key;
use crate::sync::Arc;

/// Slots of any kind, so that the arithmetic can be tested without a reactor.
#[derive(Debug)]
pub(super) struct Table<S> {
    places: Vec<Place<S>>,
    /// The first of a chain of empty places, or [`NOWHERE`].
    vacant: u32,
    len: usize,
}

#[derive(Debug)]
struct Place<S> {
    slot: Option<Arc<S>>,
    generation: u32,
    /// While it is empty: the next empty place, or [`NOWHERE`].
    next: u32,
}

/// No place has this number.
const NOWHERE: u32 = u32::MAX;

/// The bits of a key that name the place.
const INDEX_BITS: u32 = 32;

impl<S> Table<S> {
    pub(super) fn new() -> Table<S> {
        Table {
            places: Vec::new(),
            vacant: NOWHERE,
            len: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// # Panics
    ///
    /// If there are 2³² - 1 slots. (No system has as many descriptors; the last number stays unused,
    /// and with it [`Key::RESERVED`].)
    pub(super) fn insert(&mut self, slot: Arc<S>) -> Key {
        self.len += 1;
        if let Some(place) = self.places.get_mut(self.vacant as usize) {
            let index = self.vacant;
            self.vacant = place.next;
            place.slot = Some(slot);
            return key(index, place.generation);
        }
        let index = u32::try_from(self.places.len())
            .ok()
            .filter(|index| *index != NOWHERE);
        let index = index.expect("a reactor has at most 2^32 - 1 sources");
        self.places.push(Place {
            slot: Some(slot),
            generation: 0,
            next: NOWHERE,
        });
        key(index, 0)
    }

    /// Empties a place. `None` if the key is out of date.
    pub(super) fn remove(&mut self, key: Key) -> Option<Arc<S>> {
        let (index, generation) = parts(key);
        let place = self.places.get_mut(index as usize)?;
        if place.generation != generation {
            return None;
        }
        let slot = place.slot.take()?;
        place.generation = generation.wrapping_add(1);
        place.next = self.vacant;
        self.vacant = index;
        self.len -= 1;
        Some(slot)
    }

    /// The slot that the key was given to, if it is still there.
    pub(super) fn get(&self, key: Key) -> Option<&Arc<S>> {
        let (index, generation) = parts(key);
        let place = self.places.get(index as usize)?;
        let slot = place.slot.as_ref()?;
        (place.generation == generation).then_some(slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<S>> {
        self.places.iter().filter_map(|place| place.slot.as_ref())
    }
}

fn key(index: u32, generation: u32) -> Key {
    Key(u64::from(generation) << INDEX_BITS | u64::from(index))
}

/// The two halves of a key: index and generation.
fn parts(key: Key) -> (u32, u32) {
    (key.0 as u32, (key.0 >> INDEX_BITS) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_dies_with_its_slot() {
        let mut table = Table::new();
        let first = table.insert(Arc::new(1));
        let second = table.insert(Arc::new(2));
        assert_eq!(table.remove(first).as_deref(), Some(&1));
        let third = table.insert(Arc::new(3));
        assert_eq!(parts(first).0, parts(third).0, "the place is used again");
        assert_ne!(first, third);
        assert!(table.get(first).is_none());
        assert!(table.remove(first).is_none());
        assert_eq!(table.get(third).map(|slot| **slot), Some(3));
        assert_eq!(table.get(second).map(|slot| **slot), Some(2));
        assert_eq!(table.len(), 2);
        assert_eq!(table.iter().map(|slot| **slot).collect::<Vec<_>>(), [3, 2]);
        assert!(table.get(Key(7)).is_none());
    }

    #[test]
    fn places_are_used_again_in_any_order() {
        let mut table = Table::new();
        let keys: Vec<Key> = (0..4)
            .map(|number| table.insert(Arc::new(number)))
            .collect();
        for key in [keys[2], keys[0], keys[3]] {
            assert!(table.remove(key).is_some());
        }
        for number in 10..13 {
            table.insert(Arc::new(number));
        }
        assert_eq!((table.len(), table.places.len()), (4, 4));
    }
}
