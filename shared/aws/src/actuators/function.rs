//! Lambda functions: reserved concurrency as a gate, and calls.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use holdfast_core::domain::{Act, ActOrder, Failure, RunId, Seen, StepName};
use holdfast_core::ports::{Actuators, Catalog, Key, Wake};
use holdfast_core::workflow::records::{self, Record};
use serde::{Deserialize, Serialize};

use super::{cannot, done, settings};
use crate::clients::Clients;
use crate::failure::failure;

/// Functions.
pub(super) struct LambdaFunctions {
    pub clients: Arc<Clients>,
    /// Which calls were accepted; a call leaves no other trace.
    pub catalog: Arc<dyn Catalog>,
}

/// What is wanted of a function.
enum Wish<'a> {
    /// That so many of it may run at once; none frees it of a reservation.
    Concurrency(Option<i32>),
    /// That it is called.
    Call(&'a str),
}

/// A call that Lambda accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Call {
    run: RunId,
    step: StepName,
    function: String,
}

impl Call {
    fn of(order: &ActOrder, function: &str) -> Self {
        Self {
            run: order.on.run().clone(),
            step: order.step.clone(),
            function: function.to_owned(),
        }
    }
}

impl Record for Call {
    const KIND: &'static str = "actuator_call";
    fn key(&self) -> Key {
        Key {
            partition: format!("RUN#{}", self.run),
            sort: format!("CALL#{}", self.step),
        }
    }
    fn wake(&self) -> Option<Wake> {
        None
    }
}

fn wish(order: &ActOrder) -> Result<Wish<'_>, Failure> {
    match &order.act {
        Act::Fence | Act::Stop => Ok(Wish::Concurrency(Some(0))),
        Act::Unfence | Act::Start => settings::optional_count(order, "concurrency").map(Wish::Concurrency),
        Act::Invoke { payload } => Ok(Wish::Call(payload)),
        _ => Err(cannot(order, "start, stop, fence, unfence and invoke")),
    }
}

impl LambdaFunctions {
    fn client(&self, order: &ActOrder) -> Client {
        self.clients.of(order.on.region()).lambda()
    }

    async fn concurrency(&self, order: &ActOrder, function: &str) -> Result<Option<i32>, Failure> {
        let call = self.client(order).get_function_concurrency().function_name(function);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failure("Lambda GetFunctionConcurrency", function, &error))?;
        Ok(answer.reserved_concurrent_executions())
    }

    async fn reserve(&self, order: &ActOrder, function: &str, concurrency: Option<i32>) -> Result<(), Failure> {
        let client = self.client(order);
        let Some(concurrency) = concurrency else {
            let call = client.delete_function_concurrency().function_name(function);
            let answer = call.send().await.map(|_| ());
            return answer.map_err(|error| failure("Lambda DeleteFunctionConcurrency", function, &error));
        };
        let call = client
            .put_function_concurrency()
            .function_name(function)
            .reserved_concurrent_executions(concurrency);
        let answer = call.send().await.map(|_| ());
        answer.map_err(|error| failure("Lambda PutFunctionConcurrency", function, &error))
    }

    async fn is_called(&self, call: &Call) -> Result<bool, Failure> {
        let known = records::read::<Call>(self.catalog.as_ref(), &call.key()).await?;
        Ok(known.is_some())
    }

    /// Hands the payload over, to be run in the background, and keeps that it was accepted.
    async fn call(&self, order: &ActOrder, call: &Call, payload: &str) -> Result<(), Failure> {
        let asked = self
            .client(order)
            .invoke()
            .function_name(&call.function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload));
        let answer = asked.send().await.map(|_| ());
        answer.map_err(|error| failure("Lambda Invoke", &call.function, &error))?;
        records::insert(self.catalog.as_ref(), call).await.map(|_| ())
    }
}

#[async_trait]
impl Actuators for LambdaFunctions {
    async fn begin(&self, order: &ActOrder) -> Result<(), Failure> {
        let function = settings::required(order, "function")?;
        match wish(order)? {
            Wish::Concurrency(wanted) if self.concurrency(order, function).await? == wanted => Ok(()),
            Wish::Concurrency(wanted) => self.reserve(order, function, wanted).await,
            Wish::Call(payload) => {
                let call = Call::of(order, function);
                if self.is_called(&call).await? {
                    return Ok(());
                }
                self.call(order, &call, payload).await
            }
        }
    }

    async fn look(&self, order: &ActOrder) -> Result<Seen, Failure> {
        let function = settings::required(order, "function")?;
        match wish(order)? {
            Wish::Concurrency(wanted) => {
                let found = self.concurrency(order, function).await?;
                let told = found.map_or_else(|| "all that are free".to_owned(), |found| found.to_string());
                Ok(match found == wanted {
                    true => done(format!("invocations of {function} at once: {told}")),
                    false => Seen::NotDone,
                })
            }
            Wish::Call(_) => Ok(match self.is_called(&Call::of(order, function)).await? {
                true => done(format!(
                    "Lambda accepted the call of {function}; what came of it is for a check or verification to see"
                )),
                false => Seen::NotDone,
            }),
        }
    }
}
