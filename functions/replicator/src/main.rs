//! The `replicator` function on AWS Lambda.

use std::process::ExitCode;

use holdfast_core::domain::FunctionName;
use holdfast_runtime::Connected;

fn main() -> ExitCode {
    holdfast_runtime::run(
        FunctionName::Replicator,
        |deployment| async move {
            let aws = holdfast_aws::connect(&deployment).await?;
            Ok(Connected {
                world: aws.world,
                workers: aws.workers,
            })
        },
        |world, event| Box::pin(holdfast_replicator::handle(world, event)),
    )
}
