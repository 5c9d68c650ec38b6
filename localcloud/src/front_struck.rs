//! A call that chaos has struck, at the door: cut off, answered to nobody, taking effect late, or refused as one too
//! many. Whether it is struck was decided before.

use std::io;
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::http::{Method, Response, StatusCode};
use jiff::Timestamp;
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::chaos::{CallFate, CallSeen};
use crate::cloud::Parts;
use crate::front::{self, Called, json_error};
use crate::happening::RecordedCall;
use crate::locked::locked;
use crate::{processes, s3, sns};

/// Effects that are still to come.
#[derive(Debug, Default)]
pub(crate) struct Late(Mutex<JoinSet<()>>);

impl Called {
    /// The call as far as chaos looks at it.
    pub(crate) fn seen<'a>(&'a self, token: Option<&'a str>) -> CallSeen<'a> {
        CallSeen {
            caller: &self.caller,
            token,
            service: &self.service,
            what: &self.request.path,
            is_change: self.is_change(),
        }
    }

    fn is_change(&self) -> bool {
        match self.service.as_str() {
            "s3" => [Method::PUT, Method::POST, Method::DELETE].contains(&self.request.method),
            "batch" => ["/v1/submitjob", "/v1/terminatejob"].contains(&self.request.path.as_str()),
            "sns" => true,
            _ => false,
        }
    }
}

/// Does to a call what was drawn for it.
pub(crate) async fn carry_out(
    parts: &Arc<Parts>,
    called: Called,
    fate: CallFate,
) -> Response<Body> {
    match fate {
        CallFate::Answered => front::answer(parts, called).await,
        CallFate::Cut => cut_off(),
        CallFate::AnswerLost => {
            front::answer(parts, called).await;
            cut_off()
        }
        CallFate::Late(after) => {
            let this = Arc::clone(parts);
            let mut late = locked(&parts.late.0);
            while late.try_join_next().is_some() {}
            late.spawn(async move {
                tokio::time::sleep(after).await;
                let mut called = called;
                called.request.arrived = this.store.arrival();
                front::answer(&this, called).await;
            });
            cut_off()
        }
        CallFate::CallerDies(doom) => {
            if doom.after_effect {
                front::answer(parts, called).await;
            }
            processes::signal_group(doom.pid, Signal::KILL);
            cut_off()
        }
        CallFate::Throttled => {
            let response = throttled(&called.service);
            parts.watch.record(RecordedCall {
                at: Timestamp::now(),
                service: called.service,
                operation: "throttled".to_owned(),
                resource: called.request.path,
                status: response.status().as_u16(),
                caller: called.caller,
                asked: None,
            });
            response
        }
    }
}

/// Effects that have not come by now never will.
pub(crate) async fn stop(parts: &Parts) {
    let mut late = std::mem::take(&mut *locked(&parts.late.0));
    late.shutdown().await;
}

/// The connection ends before a byte of an answer: the body fails before the head was flushed.
fn cut_off() -> Response<Body> {
    let broken = io::Error::from(io::ErrorKind::ConnectionAborted);
    let nothing = futures::stream::once(std::future::ready(Err::<Bytes, _>(broken)));
    Response::new(Body::from_stream(nothing))
}

/// One call too many, in the service's own words.
fn throttled(service: &str) -> Response<Body> {
    match service {
        "s3" => s3::slow_down(),
        "sns" => sns::throttled(),
        _ => json_error(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequestsException",
            "Too Many Requests",
        ),
    }
}
