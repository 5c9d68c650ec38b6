//! The SDKs' connector: each request goes to the service that it is for, in one sight of the world.

use std::fmt;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use trainspot_edge::memory::MemoryEdge;

use super::request::{Request, Service};
use super::{batch, s3, sns};

/// Ends in one sight.
#[derive(Clone)]
pub(super) struct Connector {
    sight: MemoryEdge,
}

impl Connector {
    pub(super) const fn new(sight: MemoryEdge) -> Self {
        Self { sight }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({:?})", self.sight)
    }
}

impl HttpClient for Connector {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, sent: HttpRequest) -> HttpConnectorFuture {
        let sight = self.sight.clone();
        HttpConnectorFuture::new(async move {
            let request = Request::of(sent).await;
            let answer = match &request.service {
                Service::S3(bucket) => s3::answer(&sight, bucket, &request).await,
                Service::Batch => batch::answer(&sight, &request).await,
                Service::Sns => sns::answer(&sight, &request).await,
            };
            answer.send(sight.clock())
        })
    }
}
