//! What people read of recovery plans and their runs: pure functions of records to text.

mod html;
mod page;
mod text;
mod timeline;

pub use page::{Signed, run_page};
