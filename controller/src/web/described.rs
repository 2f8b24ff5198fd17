//! The OpenAPI document, with what holds for every path: whatever goes wrong is a problem.

use utoipa::openapi::{
    ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder,
    path::{Operation, PathItem},
};

use super::problem;

/// Stands for every status that an operation does not name.
const OTHERWISE: &str = "default";

/// Adds to each operation what it answers beyond what it names itself: a body that is too large, a missing token, a
/// full disk.
pub(super) fn with_problems(mut document: OpenApi) -> OpenApi {
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        let answers = &mut operation.responses.responses;
        for answer in answers.iter_mut().filter(|(status, _)| is_problem(status)).map(|(_, answer)| answer) {
            *answer = RefOr::T(response(&said(answer)));
        }
        let otherwise = "Whatever else goes wrong; its code is explained in docs/errors.";
        answers.insert(OTHERWISE.to_owned(), RefOr::T(response(otherwise)));
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn is_problem(status: &str) -> bool {
    status.starts_with(['4', '5'])
}

fn said(answer: &RefOr<Response>) -> String {
    match answer {
        RefOr::T(response) => response.description.clone(),
        RefOr::Ref(_) => String::new(),
    }
}

fn response(description: &str) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content(problem::MEDIA_TYPE, content).build()
}
