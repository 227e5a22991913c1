//! The embedded system: the same handlers that run on Lambda, in this process, on embedded parts.

mod authorities;
mod configuration;
mod dispatch;
mod receivers;
mod session;
mod system;

pub use authorities::{CatalogAuthorities, TellsFunctions};
pub use configuration::{Installation, absolute, load, read};
pub use dispatch::{invoke, pump, wake};
pub use receivers::start_receivers;
pub use session::{Session, pause, progress_bar, show, turn};
pub use system::{Parts, System};
