//! Rooms and their members.
//!
//! ```
//! use stillwire::hub::{JoinError, Rooms};
//!
//! let mut rooms = Rooms::default();
//! assert!(rooms.join(7, "seven", "news")?);
//! assert!(rooms.join(3, "three", "news")?);
//! assert!(!rooms.join(7, "seven", "news")?); // is there already
//! rooms.join(7, "seven", "sport")?;
//!
//! let members: Vec<_> = rooms.members("news").collect();
//! assert_eq!(members, [(7, &"seven"), (3, &"three")]); // in the order of joining
//! assert_eq!(rooms.leave(3, "news"), Some("three"));
//! let left: Vec<_> = rooms.leave_all(7).iter().map(|room| room.to_string()).collect();
//! assert_eq!(left, ["news", "sport"]);
//! assert!(rooms.is_empty()); // a room without members is forgotten
//! # Ok::<(), JoinError>(())
//! ```

use alloc::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};

/// What a peer can make a server remember by joining. Above a limit, [`Rooms::join`] refuses.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RoomsLimits {
    /// The most rooms that one member may be in at a time. Default: 256.
    pub rooms_per_member: usize,
    /// The most members of one room. Default: 65 536.
    pub members_per_room: usize,
    /// The longest name of a room, in bytes. Default: 256.
    pub name: usize,
}

impl Default for RoomsLimits {
    fn default() -> Self {
        Self { rooms_per_member: 256, members_per_room: 65_536, name: 256 }
    }
}

/// Why a member did not join; nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The member is in as many rooms as it may be.
    #[error("a member may be in {limit} rooms at most")]
    TooManyRooms {
        /// [`RoomsLimits::rooms_per_member`].
        limit: usize,
    },
    /// The room has as many members as it may have.
    #[error("a room may have {limit} members at most")]
    RoomFull {
        /// [`RoomsLimits::members_per_room`].
        limit: usize,
    },
    /// The name is too long.
    #[error("the name of a room may have {limit} bytes at most")]
    NameTooLong {
        /// [`RoomsLimits::name`].
        limit: usize,
    },
}

/// The members of one room, in the order in which they came. `H` is whatever reaches a member: an
/// `Arc<Mutex<Mailbox<_>>>`, a channel, in tests a number.
///
/// Use it alone where each room has a lock of its own; [`Rooms`] is the table of many. Each operation costs
/// O(log members), in the worst case too: peers choose names and numbers, so nothing here is hashed.
#[derive(Clone, Debug)]
pub struct Room<H> {
    /// By turn: the order of coming.
    members: BTreeMap<u64, (u64, H)>,
    turns: BTreeMap<u64, u64>,
    next: u64,
}

impl<H> Default for Room<H> {
    fn default() -> Self {
        Self { members: BTreeMap::new(), turns: BTreeMap::new(), next: 0 }
    }
}

impl<H> Room<H> {
    /// Lets `member` in, behind all others. `false`: it is there already and keeps its place and its handle.
    pub fn insert(&mut self, member: u64, handle: H) -> bool {
        if self.turns.contains_key(&member) {
            return false;
        }
        self.turns.insert(member, self.next);
        self.members.insert(self.next, (member, handle));
        self.next += 1; // 2^64 joins do not happen
        true
    }

    /// Takes `member` out and gives its handle back; `None` when it was not there.
    pub fn remove(&mut self, member: u64) -> Option<H> {
        let turn = self.turns.remove(&member)?;
        self.members.remove(&turn).map(|(_, handle)| handle)
    }

    /// The handle of `member`.
    #[must_use]
    pub fn get(&self, member: u64) -> Option<&H> {
        self.members.get(self.turns.get(&member)?).map(|(_, handle)| handle)
    }

    /// Whether `member` is here.
    #[must_use]
    pub fn contains(&self, member: u64) -> bool {
        self.turns.contains_key(&member)
    }

    /// All members with their handles, in the order in which they came.
    pub fn members(&self) -> impl DoubleEndedIterator<Item = (u64, &H)> + ExactSizeIterator {
        self.members.values().map(|(member, handle)| (*member, handle))
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

/// Many rooms by name, and for each member the rooms it is in, so that leaving everything costs what was joined
/// and not what exists.
///
/// A member is a number that the server chose; `H` is as in [`Room`]. A room exists while it has members.
#[derive(Clone, Debug)]
pub struct Rooms<H> {
    rooms: BTreeMap<Arc<str>, Room<H>>,
    joined: BTreeMap<u64, BTreeSet<Arc<str>>>,
    limits: RoomsLimits,
}

impl<H> Default for Rooms<H> {
    fn default() -> Self {
        Self::new(RoomsLimits::default())
    }
}

impl<H> Rooms<H> {
    /// No rooms yet.
    #[must_use]
    pub const fn new(limits: RoomsLimits) -> Self {
        Self { rooms: BTreeMap::new(), joined: BTreeMap::new(), limits }
    }

    /// Lets `member` into `room`, which begins to exist if it must. `false`: it is there already and keeps its
    /// place and its handle. Whether it *may* join is the server's question, to be asked before.
    ///
    /// # Errors
    /// [`JoinError`]: a limit. Nothing changed.
    pub fn join(&mut self, member: u64, handle: H, room: &str) -> Result<bool, JoinError> {
        if self.contains(member, room) {
            return Ok(false);
        }
        let RoomsLimits { rooms_per_member, members_per_room, name } = self.limits;
        if room.len() > name {
            return Err(JoinError::NameTooLong { limit: name });
        }
        if self.rooms.get(room).map_or(0, Room::len) >= members_per_room {
            return Err(JoinError::RoomFull { limit: members_per_room });
        }
        if self.joined.get(&member).map_or(0, BTreeSet::len) >= rooms_per_member {
            return Err(JoinError::TooManyRooms { limit: rooms_per_member });
        }
        // One name in memory for the room and all its members.
        let name = self.rooms.get_key_value(room).map_or_else(|| Arc::from(room), |(name, _)| name.clone());
        self.joined.entry(member).or_default().insert(name.clone());
        Ok(self.rooms.entry(name).or_default().insert(member, handle))
    }

    /// Takes `member` out of `room` and gives its handle back; `None` when it was not there.
    pub fn leave(&mut self, member: u64, room: &str) -> Option<H> {
        let handle = self.take_out(member, room)?;
        if let Some(rooms) = self.joined.get_mut(&member) {
            rooms.remove(room);
            if rooms.is_empty() {
                self.joined.remove(&member);
            }
        }
        Some(handle)
    }

    /// Takes `member` out of every room, as when its connection ends. Returns the rooms that it left, in the
    /// order of their names.
    pub fn leave_all(&mut self, member: u64) -> Vec<Arc<str>> {
        let rooms = self.joined.remove(&member).unwrap_or_default();
        for room in &rooms {
            self.take_out(member, room);
        }
        rooms.into_iter().collect()
    }

    fn take_out(&mut self, member: u64, name: &str) -> Option<H> {
        let room = self.rooms.get_mut(name)?;
        let handle = room.remove(member)?;
        if room.is_empty() {
            self.rooms.remove(name);
        }
        Some(handle)
    }

    /// The room of that name, while it has members.
    #[must_use]
    pub fn room(&self, name: &str) -> Option<&Room<H>> {
        self.rooms.get(name)
    }

    /// The members of `room` with their handles, in the order in which they joined; none when there is no such
    /// room.
    pub fn members(&self, room: &str) -> impl Iterator<Item = (u64, &H)> {
        self.rooms.get(room).into_iter().flat_map(Room::members)
    }

    /// Whether `member` is in `room`.
    #[must_use]
    pub fn contains(&self, member: u64, room: &str) -> bool {
        self.rooms.get(room).is_some_and(|room| room.contains(member))
    }

    /// The rooms that `member` is in, in the order of their names.
    pub fn joined(&self, member: u64) -> impl Iterator<Item = &str> {
        self.joined.get(&member).into_iter().flatten().map(|room| &**room)
    }

    /// The names of all rooms with the rooms themselves, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Room<H>)> {
        self.rooms.iter().map(|(name, room)| (&**name, room))
    }

    /// The number of rooms.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Whether there are no rooms, and so no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }
}
