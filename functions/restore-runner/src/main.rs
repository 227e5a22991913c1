//! The `restore-runner` function on AWS Lambda.

use std::process::ExitCode;

use holdfast_core::domain::FunctionName;
use holdfast_runtime::Connected;

fn main() -> ExitCode {
    holdfast_runtime::run_with_requests(
        FunctionName::RestoreRunner,
        |deployment| async move {
            let aws = holdfast_aws::connect(&deployment).await?;
            Ok(Connected {
                world: aws.world,
                workers: aws.workers,
            })
        },
        |world, event| Box::pin(holdfast_restore_runner::handle(world, event)),
        |world, request| Box::pin(async move { holdfast_restore_runner::answer(world, &request).await }),
    )
}
