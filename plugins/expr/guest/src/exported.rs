//! The boundary of the box: its types become ours and back.

use std::cell::RefCell;

use crate::{
    Cause, Failure, Invalid, Limits, Part, Pipeline, Setup,
    bindings::exports::wherry::expr::programs::{self as wit, Guest, GuestPipeline},
};

/// What the component exports.
pub(crate) struct Programs;

impl Guest for Programs {
    type Pipeline = Running;
}

/// A pipeline behind a handle.
pub(crate) struct Running(RefCell<Pipeline>);

impl GuestPipeline for Running {
    fn open(setup: wit::Setup) -> Result<wit::Pipeline, wit::Invalid> {
        let limits = Limits {
            batch_rows: setup.batch_rows,
            batch_bytes: size(setup.batch_bytes),
            record_results: setup.record_results,
            record_bytes: size(setup.record_bytes),
        };
        let setup = Setup {
            condition: setup.condition.as_deref(),
            transformation: setup.transformation.as_deref(),
            variables: setup.variables.as_bytes(),
            limits,
        };
        let pipeline = Pipeline::open(&setup).map_err(wit::Invalid::from)?;
        Ok(wit::Pipeline::new(Self(RefCell::new(pipeline))))
    }

    fn feed(&self, records: Vec<u8>) {
        self.0.borrow_mut().feed(records);
    }

    fn next(&self) -> Result<Option<wit::Batch>, wit::Failure> {
        let batch = self.0.borrow_mut().next()?;
        Ok(batch.map(|batch| wit::Batch { count: batch.count, data: batch.data }))
    }

    fn narrow(&self) -> Option<wit::Position> {
        self.0.borrow_mut().narrow().map(position)
    }
}

fn size(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn position(at: wherry_expr::Position) -> wit::Position {
    wit::Position { line: at.line, column: at.column }
}

impl From<Part> for wit::Part {
    fn from(part: Part) -> Self {
        match part {
            Part::Condition => Self::Condition,
            Part::Transformation => Self::Transformation,
        }
    }
}

impl From<Invalid> for wit::Invalid {
    fn from(Invalid { part, error }: Invalid) -> Self {
        Self { part: part.into(), at: position(error.at()), message: error.to_string() }
    }
}

impl From<Failure> for wit::Failure {
    fn from(failure: Failure) -> Self {
        let cause = match failure.cause {
            Cause::Program => wit::Cause::Program,
            Cause::RecordMalformed => wit::Cause::RecordMalformed,
            Cause::ResultMalformed => wit::Cause::ResultMalformed,
            Cause::ResultsTooLarge => wit::Cause::ResultsTooLarge,
        };
        let Failure { part, record, message, .. } = failure;
        Self { part: part.into(), cause, record, message }
    }
}
