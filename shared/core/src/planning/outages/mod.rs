//! What becomes of a recovery plan while something that it may need is not there.

mod needs;
mod outage;
mod simulate;

pub use needs::{needs_of_act, stands_unreached};
pub use outage::{Need, Outage, Service, Sides, UnknownOutage};
pub use simulate::{Ground, Interval, Simulated, SimulatedStep, Verdict, sides, simulate};
