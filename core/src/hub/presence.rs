//! The people in a room.
//!
//! A person with a laptop, a phone and three tabs is one person: the others want to hear when the first of those
//! connections comes and when the last one goes, and nothing between.
//!
//! ```
//! use stillwire::hub::{EnterError, Entered, Presence};
//!
//! let mut presence = Presence::default();
//! assert_eq!(presence.enter(1, "ann", b"\xf0\x9f\x90\xb1")?, Entered::First); // tell the others
//! assert_eq!(presence.enter(2, "ann", b"")?, Entered::Again);               // another tab: nothing to tell
//! let names: Vec<_> = presence.people().map(|person| person.user).collect();
//! assert_eq!(names, ["ann"]); // what a newcomer is shown
//!
//! assert_eq!(presence.leave(1), None); // one tab is left
//! let departed = presence.leave(2).unwrap(); // tell the others
//! assert_eq!((&*departed.user, &*departed.payload), ("ann", "🐱".as_bytes()));
//! # Ok::<(), EnterError>(())
//! ```

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc};

/// What a peer can make a server remember by entering. Above a limit, [`Presence::enter`] refuses.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PresenceLimits {
    /// The most people at a time. Default: 65 536.
    pub people: usize,
    /// The most connections of one person at a time. Default: 32.
    pub connections: usize,
    /// The longest name of a user, in bytes. Default: 256.
    pub user: usize,
    /// The longest payload, in bytes. Default: 1024.
    pub payload: usize,
}

impl Default for PresenceLimits {
    fn default() -> Self {
        Self { people: 65_536, connections: 32, user: 256, payload: 1024 }
    }
}

/// What a connection's coming means.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Entered {
    /// A person came: tell the others.
    First,
    /// The person was there already, by another connection or by this one: nothing to tell.
    Again,
}

/// Why a connection did not enter; nothing changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnterError {
    /// There are as many people as there may be.
    #[error("at most {limit} people may be here")]
    TooManyPeople {
        /// [`PresenceLimits::people`].
        limit: usize,
    },
    /// The person has as many connections as it may have.
    #[error("a person may have {limit} connections at most")]
    TooManyConnections {
        /// [`PresenceLimits::connections`].
        limit: usize,
    },
    /// The user's name is too long.
    #[error("the name of a user may have {limit} bytes at most")]
    UserTooLong {
        /// [`PresenceLimits::user`].
        limit: usize,
    },
    /// The payload is too long.
    #[error("a payload may have {limit} bytes at most")]
    PayloadTooLong {
        /// [`PresenceLimits::payload`].
        limit: usize,
    },
    /// The connection is here as somebody else: it has to leave first.
    #[error("the connection belongs to another user")]
    AnotherUser,
}

/// A person whose last connection went: tell the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Departed {
    /// The user's name.
    pub user: Arc<str>,
    /// What the person was shown with.
    pub payload: Box<[u8]>,
}

/// One person of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Person<'a> {
    /// The user's name.
    pub user: &'a str,
    /// What the person is shown with: a nickname, a picture's address, in whatever form the application has.
    pub payload: &'a [u8],
    /// By how many connections the person is here; at least one.
    pub connections: usize,
}

/// The people of one room. Each operation costs O(log people), in the worst case too.
#[derive(Clone, Debug, Default)]
pub struct Presence {
    people: BTreeMap<Arc<str>, Entry>,
    connections: BTreeMap<u64, Arc<str>>,
    limits: PresenceLimits,
}

#[derive(Clone, Debug)]
struct Entry {
    payload: Box<[u8]>,
    connections: usize,
}

impl Presence {
    /// Nobody yet.
    #[must_use]
    pub const fn new(limits: PresenceLimits) -> Self {
        Self { people: BTreeMap::new(), connections: BTreeMap::new(), limits }
    }

    /// `connection` is here, as `user`. The `payload` is copied for a person who comes; a person who is here
    /// already keeps the one it has ([`update`](Self::update) changes it).
    ///
    /// # Errors
    /// [`EnterError`]: a limit, or the connection is somebody else's. Nothing changed.
    pub fn enter(&mut self, connection: u64, user: &str, payload: &[u8]) -> Result<Entered, EnterError> {
        if let Some(now) = self.connections.get(&connection) {
            return if **now == *user { Ok(Entered::Again) } else { Err(EnterError::AnotherUser) };
        }
        self.check_payload(payload)?;
        let limits = &self.limits;
        if let Some(entry) = self.people.get_mut(user) {
            if entry.connections >= limits.connections {
                return Err(EnterError::TooManyConnections { limit: limits.connections });
            }
            entry.connections += 1;
            let name =
                self.people.get_key_value(user).map_or_else(|| Arc::from(user), |(name, _)| name.clone());
            self.connections.insert(connection, name);
            return Ok(Entered::Again);
        }
        if user.len() > limits.user {
            return Err(EnterError::UserTooLong { limit: limits.user });
        }
        if self.people.len() >= limits.people {
            return Err(EnterError::TooManyPeople { limit: limits.people });
        }
        if limits.connections == 0 {
            return Err(EnterError::TooManyConnections { limit: 0 });
        }
        let name: Arc<str> = Arc::from(user);
        self.connections.insert(connection, name.clone());
        self.people.insert(name, Entry { payload: payload.into(), connections: 1 });
        Ok(Entered::First)
    }

    /// `connection` has gone. Returns the person if that was the last connection; `None` when others are left, or
    /// when it was not here.
    pub fn leave(&mut self, connection: u64) -> Option<Departed> {
        let user = self.connections.remove(&connection)?;
        let entry = self.people.get_mut(&user)?;
        entry.connections -= 1;
        if entry.connections > 0 {
            return None;
        }
        self.people.remove(&user).map(|entry| Departed { user, payload: entry.payload })
    }

    /// Another payload for `user`. Returns whether that is news: the user is here, and the payload was another
    /// one. Then tell the others.
    ///
    /// # Errors
    /// [`EnterError::PayloadTooLong`]. Nothing changed.
    pub fn update(&mut self, user: &str, payload: &[u8]) -> Result<bool, EnterError> {
        self.check_payload(payload)?;
        let Some(entry) = self.people.get_mut(user) else { return Ok(false) };
        if *entry.payload == *payload {
            return Ok(false);
        }
        entry.payload = payload.into();
        Ok(true)
    }

    fn check_payload(&self, payload: &[u8]) -> Result<(), EnterError> {
        let limit = self.limits.payload;
        if payload.len() > limit { Err(EnterError::PayloadTooLong { limit }) } else { Ok(()) }
    }

    /// Everybody who is here, in the order of the users' names: what a newcomer is shown.
    pub fn people(&self) -> impl ExactSizeIterator<Item = Person<'_>> {
        self.people.iter().map(|(user, entry)| Person {
            user,
            payload: &entry.payload,
            connections: entry.connections,
        })
    }

    /// One person, if here.
    #[must_use]
    pub fn person(&self, user: &str) -> Option<Person<'_>> {
        let (user, entry) = self.people.get_key_value(user)?;
        Some(Person { user, payload: &entry.payload, connections: entry.connections })
    }

    /// The number of people.
    #[must_use]
    pub fn len(&self) -> usize {
        self.people.len()
    }

    /// Whether nobody is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.people.is_empty()
    }
}
