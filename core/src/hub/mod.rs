//! Who is where, and what waits for whom: plain structures for a server of many connections.
//!
//! There are no tasks, locks or sockets here. A server puts these structures behind the locks that its runtime
//! has, and decides itself who may join what.
//!
//! * [`Rooms`] (and one [`Room`]): members by name of the room, in the order in which they joined.
//! * [`Mailbox`]: what others have posted for one connection, bounded in bytes and in messages.
//! * [`Shared`]: one message for many, encoded at most once per [`Dialect`].
//! * [`Presence`]: the people in a room, however many connections each of them has.
//! * [`Log`]: what was sent lately, for whoever comes back and missed some of it.
//! * [`Admission`]: how many may come in, and when who is too much may try again.
//! * [`spread`]: when each of many is told to come back, so that they do not come all at once.
//!
//! ```text
//!   a task                    the room                 each member               its owner
//!   Shared::text("hi") ──► Rooms::members("lobby") ──► Mailbox::post ──wake──► Mailbox::pop ──► Shared::form
//!                                                       │ too slow                               └► Outbox
//!                                                       └► dropped, or the owner is dismissed
//! ```
//!
//! A broadcast to everybody in a room, whose owners would wake up and send:
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use stillwire::hub::{Bounds, Mailbox, Posted, Rooms, Shared, Slow};
//!
//! let mailbox = || Arc::new(Mutex::new(Mailbox::new(Bounds::default(), Slow::Dismiss)));
//! let (ann, bob) = (mailbox(), mailbox());
//! let mut rooms = Rooms::default();
//! rooms.join(1, ann.clone(), "lobby")?;
//! rooms.join(2, bob.clone(), "lobby")?;
//!
//! let message = Shared::text("hello");
//! for (_, mailbox) in rooms.members("lobby") {
//!     let posted = mailbox.lock().unwrap().post(message.clone(), message.len());
//!     assert_eq!(posted, Posted::Queued { wake: true }); // it was empty: the owner may sleep
//! }
//! assert_eq!(bob.lock().unwrap().pop().unwrap().payload(), "hello".as_bytes());
//! # Ok::<(), stillwire::hub::JoinError>(())
//! ```

mod admission;
mod mailbox;
mod presence;
mod replay;
mod rooms;
mod shared;
mod spread;

pub use admission::{Admission, AdmissionBounds, Refused};
pub use mailbox::{Bounds, Mailbox, Posted, Slow};
pub use presence::{Departed, EnterError, Entered, Person, Presence, PresenceLimits};
pub use replay::{Cursor, Entry, Ids, Log, LogBounds, LogError, Page, Since};
pub use rooms::{JoinError, Room, Rooms, RoomsLimits};
pub use shared::{Dialect, Shared};
pub use spread::spread;
