//! What the machine allows: how fast each [`Kernel`] of the content engine is by itself ([`Figures`]), the least time in
//! which a backup, check or restore can be done at that speed ([`least_seconds`]), and how many instructions each kernel
//! takes ([`instructions`]), which no other work on the machine changes.

pub mod data;
mod figures;
mod files;
pub mod instructions;
mod kernel;
mod limit;
mod machine;

pub use figures::{Figures, Rates};
pub use kernel::{Kernel, Pass};
pub use limit::{Composition, Seconds, least_seconds};
pub use machine::{instruction_sets, processor, processors};
