//! Stage 3, Event -> Record: keeps events on disk until every uplink has settled them.
//!
//! From the outside in: [`run`] is the task, [`Store`] what it drives, `generations` the directories of a store,
//! `generation` one of them, `engine` the database in it, `disk` the
//! files beside. `absent`, `commit`, `epoch`, `head`, `kept`,
//! `keys`, `progress`, `quota`, `record` and `seal` are pure.

mod absent;
pub mod commit;
#[cfg(test)]
mod damage_tests;
pub mod disk;
pub mod engine;
mod epoch;
mod error;
mod generation;
mod generations;
mod head;
mod kept;
mod keys;
mod listing;
mod memory;
#[cfg(test)]
mod model_tests;
mod older;
mod open;
mod outlet;
mod progress;
mod quota;
mod reclaim;
pub mod record;
mod rewrite;
mod seal;
mod side;
mod store;
mod tail;
mod task;
#[cfg(test)]
mod testing;
mod used;

pub use epoch::Why;
pub use error::StoreError;
pub use generation::Loss;
pub use memory::MemoryStore;
pub use open::machine_id;
pub use outlet::{Closed, Outlet, Record, Request};
pub use progress::{Account, Fate, MAX_ABOVE, Progress, Settled};
pub use quota::{Extent, Quota};
pub use store::{OpenOptions, Render, Store};
pub use task::{STOP_GRACE, Stopped, TURNS, outlets, run};
