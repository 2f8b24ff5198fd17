//! A handler that panics: its caller gets an answer, and everybody else is served on.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;

use super::problem::Problem;

/// Answers in place of a handler that panicked. What it panicked with goes to the log only.
pub(super) async fn answer(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // What a handler shares is behind locks that recover, so nothing half-done is seen afterwards.
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().copied();
            let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text");
            tracing::error!(%method, path, panic = text, "a handler panicked");
            let message = "the controller has a defect that this request met: see its log and report it";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "controller.defect", message).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, middleware::from_fn, routing::get};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_with_a_code_and_without_its_text() {
        let panics = || async {
            if true {
                panic!("hunter2")
            }
        };
        let router = Router::new().route("/x", get(panics)).layer(from_fn(answer));
        let answer = router.oneshot(Request::get("/x").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 500);
        let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("controller.defect") && !text.contains("hunter2"), "{text}");
    }
}
