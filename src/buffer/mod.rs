//! Stage 3, Event -> Record: keeps events on disk until every uplink has settled them.
//!
//! From the outside in: [`run`] is the task, [`Store`] what it drives, `generations` the directories of a store,
//! `generation` one of them, `engine` the database in it, `disk` the
//! files beside, `parked` the dead letters. `absent`, `commit`, `epoch`, `head`, `kept`, `keys`, `progress`, `quota`,
//! `record` and `seal` are pure.

mod absent;
pub mod commit;
#[cfg(test)]
mod damage_every_tests;
#[cfg(test)]
pub(crate) mod damage_tests;
pub mod disk;
pub mod engine;
mod epoch;
mod error;
#[cfg(test)]
mod full_task_tests;
#[cfg(test)]
mod full_tests;
mod generation;
mod generations;
mod head;
pub mod inspect;
mod kept;
mod keys;
mod listing;
#[cfg(test)]
mod load_tests;
mod losses;
mod memory;
#[cfg(test)]
mod model_tests;
mod newest;
#[cfg(test)]
mod notices_tests;
mod older;
mod open;
mod outlet;
mod parked;
mod progress;
mod publish;
mod quota;
mod ready;
mod reclaim;
pub mod record;
mod refusal;
mod renew;
mod rewrite;
mod room;
mod seal;
mod side;
#[cfg(test)]
mod start_tests;
mod store;
mod tail;
mod task;
#[cfg(test)]
pub(crate) mod testing;
mod used;

pub use epoch::Why;
pub use error::StoreError;
pub use generation::Loss;
pub use memory::MemoryStore;
pub use open::machine_id;
pub use outlet::{Closed, Outlet, Record, Request};
pub use parked::{
    Answered, Audit, CHANGED_AT_ONCE, Changed, DueParked, Heads, MAX_PARKED, MAX_SAID, Moment,
    Parked, ParkedAction, ParkedChange, ParkedError, ParkedRequest, ParkedState, Parking, Retried,
    ToPark, bounded_copy, sha256,
};
pub use progress::{Account, Fate, Left, MAX_ABOVE, Progress, Settled};
pub use quota::{Extent, Quota};
pub use store::{OpenOptions, Render, Store};
pub use task::{STOP_GRACE, Stopped, TURNS, outlets, outlets_and_inspector, run};
