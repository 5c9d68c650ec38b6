//! Credentials that the service calls expired before we do.
//!
//! The SDK keeps what its provider gave until the time that came with it. A role that was revoked and
//! given anew, or a host whose clock is behind, makes S3 say `ExpiredToken` earlier; then the provider is
//! asked again and the call repeated. It is never a lack of permission.

use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::identity::{
    IdentityFuture, ResolveCachedIdentity, SharedIdentityCache, SharedIdentityResolver,
};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// How S3 and the token service say that credentials are past their time.
const EXPIRED: [&str; 3] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "TokenRefreshRequired",
];

/// Keeps credentials until they expire or are called expired; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Renewal(Arc<Mutex<SharedIdentityCache>>);

impl Renewal {
    /// With none yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(fresh())))
    }

    fn cache(&self) -> SharedIdentityCache {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The next call asks the provider.
    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = fresh();
    }
}

fn fresh() -> SharedIdentityCache {
    aws_sdk_s3::config::IdentityCache::lazy().build()
}

impl ResolveCachedIdentity for Renewal {
    fn resolve_cached_identity<'a>(
        &'a self,
        resolver: SharedIdentityResolver,
        runtime_components: &'a RuntimeComponents,
        config_bag: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let cache = self.cache();
        IdentityFuture::new(async move {
            cache
                .resolve_cached_identity(resolver, runtime_components, config_bag)
                .await
        })
    }
}

impl ClassifyRetry for Renewal {
    /// Here an answer is judged first, and every try of a call asks for credentials anew.
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let body = context.response().and_then(|answer| answer.body().bytes());
        if !body.is_some_and(is_expired) {
            return RetryAction::NoActionIndicated;
        }
        tracing::warn!("the credentials are called expired: asking for new ones");
        self.forget();
        RetryAction::transient_error()
    }

    fn name(&self) -> &'static str {
        "Expired credentials"
    }
}

/// `<Error><Code>ExpiredToken</Code>…`; the status is 400 or 403.
fn is_expired(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else {
        return false;
    };
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"));
    code.is_some_and(|(code, _)| EXPIRED.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_that_says_so_is_an_expiry() {
        let error =
            |code: &str| format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code></Error>");

        assert!(is_expired(error("ExpiredToken").as_bytes()));
        assert!(!is_expired(error("AccessDenied").as_bytes()));
        assert!(!is_expired(b"ExpiredToken"));
        assert!(!is_expired(b"\xff<Code>ExpiredToken</Code>"));
    }
}
