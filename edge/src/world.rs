//! Time, chance and waiting, passed in so that a proof can replay them.

use std::time::Duration;

use jiff::Timestamp;

/// What a handler may know of the world outside its services.
pub trait World: Send + Sync {
    /// The host's clock; other hosts may be 30 s off.
    fn now(&self) -> Timestamp;

    /// A fresh random id of 32 hexadecimal digits: a write id, a claim's nonce.
    fn draw(&self) -> String;

    /// A random number in `0.0..1.0`, for jitter.
    fn chance(&self) -> f64;

    /// Waits.
    fn pause(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealWorld;

impl World for RealWorld {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn draw(&self) -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    fn chance(&self) -> f64 {
        fastrand::f64()
    }

    async fn pause(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
