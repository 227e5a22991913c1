//! The `dr-failover` function on AWS Lambda.

use std::process::ExitCode;

use holdfast_core::domain::FunctionName;
use holdfast_runtime::Connected;

fn main() -> ExitCode {
    holdfast_runtime::run_with_requests(
        FunctionName::DrFailover,
        |deployment| async move {
            let aws = holdfast_aws::connect(&deployment).await?;
            Ok(Connected {
                world: aws.world,
                workers: aws.workers,
            })
        },
        |world, event| Box::pin(holdfast_dr_failover::handle(world, event)),
        |world, request| Box::pin(async move { holdfast_dr_failover::answer(world, &request).await }),
    )
}
