//! What people read of recovery plans and their runs: pure functions of records to text.

mod drawing;
mod html;
mod page;
mod runbook;
mod sentence;
mod simulation;
mod text;
mod timeline;

pub use drawing::draw_plan;
pub use page::{Signed, run_page};
pub use runbook::runbook;
pub use simulation::simulation_text;
pub use text::given_up;
