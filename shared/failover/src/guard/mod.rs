//! The guard of a PostgreSQL server: the server is its child, and takes writes only while the guard holds a lease.
//!
//! The guard asks the authority endpoint about once a second. Its lease runs from the moment at which it asked, as long as
//! the record names its own Region under the generation that it was told last. When the lease runs out the server ends at
//! once; when authority is withdrawn in time it stops in order, so that its follower gets all of its log. A later generation
//! ends writing until an order of that generation lets it begin again, also if the guard or the machine starts anew.
//!
//! Orders come over HTTP, are kept on disk before they are answered, and are only what is meant: the guard brings the server
//! there by itself, again after every crash.

mod api;
mod control;
mod decide;
mod endpoint;
mod facts;
mod intent;
mod lease;
mod processes;
mod rejoin;
mod seed;
mod server;
mod settings;
mod supervisor;
mod watchdog;

pub use api::{FinalLog, GuardOrder, GuardState, Role};
pub use intent::{Divergence, Mode, Promotion};
pub use processes::become_child_of;
pub use settings::Settings;
pub use supervisor::{Surroundings, run};
pub use watchdog::watch;
