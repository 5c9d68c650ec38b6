//! A host's own instance metadata service, version 2: a token first, then what EC2 says about the host,
//! above all the Spot notice. Has a port of its own per host, as each host has its own 169.254.169.254.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::ids::Ids;
use crate::listening::Port;
use crate::locked::locked;
use crate::template::Market;

/// EC2's longest life of a token, in seconds.
const LONGEST_TOKEN_S: u32 = 21_600;
const TOKEN_LIFE: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN: &str = "x-aws-ec2-metadata-token";

/// What a host says about itself.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) instance_id: String,
    pub(crate) instance_type: String,
    pub(crate) zone: String,
    pub(crate) market: Market,
}

/// A metadata service, until it is dropped.
#[derive(Debug)]
pub(crate) struct Imds {
    endpoint: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    identity: Identity,
    ids: Arc<Ids>,
    tokens: Mutex<HashSet<String>>,
    marked: Mutex<Option<Marked>>,
}

#[derive(Debug, Clone, Copy)]
struct Marked {
    noticed_at: Timestamp,
    ends_at: Timestamp,
}

impl Imds {
    /// Opens the service on a free port.
    pub(crate) async fn open(identity: Identity, ids: Arc<Ids>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            identity,
            ids,
            tokens: Mutex::default(),
            marked: Mutex::default(),
        });
        let router = Router::new()
            .fallback(any(answer))
            .with_state(Arc::clone(&shared));
        let port = Port::open(0).await?;
        let endpoint = format!("http://{}", port.address);
        Ok(Self {
            endpoint,
            shared,
            server: port.serve(router),
        })
    }

    /// `http://127.0.0.1:<port>`
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Announces the host's end, with the rebalance recommendation that goes with it.
    pub(crate) fn mark(&self, ends_at: Timestamp) {
        *locked(&self.shared.marked) = Some(Marked {
            noticed_at: Timestamp::now(),
            ends_at,
        });
    }
}

impl Drop for Imds {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if uri.path() == "/latest/api/token" {
        let life: Option<u32> = text(TOKEN_LIFE).and_then(|text| text.parse().ok());
        return match (method, life) {
            (Method::PUT, Some(life @ 1..=LONGEST_TOKEN_S)) => {
                let token = shared.ids.hex(56);
                locked(&shared.tokens).insert(token.clone());
                ([(TOKEN_LIFE, life.to_string())], token).into_response()
            }
            (Method::PUT, _) => StatusCode::BAD_REQUEST.into_response(),
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        };
    }
    if method != Method::GET {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if !text(TOKEN).is_some_and(|token| locked(&shared.tokens).contains(token)) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let marked = *locked(&shared.marked);
    let seconds = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let identity = &shared.identity;
    let found = match uri.path().trim_start_matches("/latest/") {
        "meta-data/instance-id" => Some(identity.instance_id.clone()),
        "meta-data/instance-type" => Some(identity.instance_type.clone()),
        "meta-data/placement/availability-zone" => Some(identity.zone.clone()),
        "meta-data/placement/region" => Some(crate::template::REGION.to_owned()),
        "meta-data/instance-life-cycle" => Some(match identity.market {
            Market::Spot => "spot".to_owned(),
            Market::OnDemand => "on-demand".to_owned(),
        }),
        "meta-data/spot/instance-action" => marked.map(|marked| {
            format!(
                r#"{{"action":"terminate","time":"{}"}}"#,
                seconds(marked.ends_at)
            )
        }),
        "meta-data/spot/termination-time" => marked.map(|marked| seconds(marked.ends_at)),
        "meta-data/events/recommendations/rebalance" => {
            marked.map(|marked| format!(r#"{{"noticeTime":"{}"}}"#, seconds(marked.noticed_at)))
        }
        _ => None,
    };
    match found {
        Some(text) => text.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
