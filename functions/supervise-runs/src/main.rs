//! Wires supervise-runs to the Lambda runtime.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use trainspot_edge::function::Function;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = &Function::start("supervise-runs").await?;
    run(service_fn(
        async move |event: LambdaEvent<EventBridgeEvent<Value>>| {
            let by = function.by(&event.context);
            supervise_runs::handle(&function.aws, &function.settings, &event.payload, &by).await
        },
    ))
    .await
}
