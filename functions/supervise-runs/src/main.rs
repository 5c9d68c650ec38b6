//! Wires supervise-runs to the Lambda runtime.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;
use trainspot_edge::function::Function;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let function = &Function::start("supervise-runs").await?;
    run(service_fn(async move |event: LambdaEvent<Value>| {
        let by = function.by(&event.context);
        supervise_runs::answer(&function.aws, &function.settings, &event.payload, &by).await
    }))
    .await
}
