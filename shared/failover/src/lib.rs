//! What moves a workload on machines of one's own: the guard that lets a PostgreSQL server be written only while its Region
//! has authority, the endpoint that tells who has it, observers that tell it what they
//! see, and what recovery plans order and ask: servers, DNS, commands, probes.

pub mod actuators;
pub mod authority;
pub mod guard;
pub mod observer;
pub mod probes;

mod http;
mod system;
mod token;

pub use system::uptime;
pub use token::Token;
