//! Rooms for many tasks: one lock for the table of names, one for each room.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stillwire::hub::Room;

use crate::post::Post;

type Members = Arc<Mutex<Room<Arc<Post>>>>;

/// Lock order: the table, then a room; a broadcast holds the room alone.
#[derive(Debug, Default)]
pub(crate) struct Rooms(Mutex<HashMap<String, Members>>);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rooms {
    /// Whether the member is new there.
    pub(crate) fn join(&self, room: &str, member: u64, post: Arc<Post>) -> bool {
        let mut table = lock(&self.0);
        if let Some(members) = table.get(room) {
            return lock(members).insert(member, post);
        }
        let members = Members::default();
        lock(&members).insert(member, post);
        table.insert(room.to_owned(), members);
        true
    }

    /// Whether the member was there. An empty room is forgotten.
    pub(crate) fn leave(&self, room: &str, member: u64) -> bool {
        let mut table = lock(&self.0);
        let Some(members) = table.get(room) else { return false };
        let mut members = lock(members);
        let was_there = members.remove(member).is_some();
        let is_empty = members.is_empty();
        drop(members);
        if is_empty {
            table.remove(room);
        }
        was_there
    }

    /// Looks at a room; nobody joins or leaves it meanwhile.
    pub(crate) fn with<T>(&self, room: &str, look: impl FnOnce(&Room<Arc<Post>>) -> T) -> Option<T> {
        let members = lock(&self.0).get(room)?.clone();
        let members = lock(&members);
        Some(look(&members))
    }
}
