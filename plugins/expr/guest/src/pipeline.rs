//! Condition and transformation over records: in go lines, out come lines.

use bytes::Bytes;
use jaq_core::{Ctx, Vars};
use jaq_json::{Map, Val, read};
use wherry_expr::{Data, Filter, GLOBALS, Position, ProgramError};

use crate::{
    batches::{Batch, Batches, Limits},
    json, parse,
    search::Search,
};

/// Longest text of a program's own words that is passed on, in bytes.
const MAX_WORDS: usize = 2 << 10;

/// Which of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Decides whether a record goes on.
    Condition,
    /// Replaces a record by its results.
    Transformation,
}

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// The condition.
    pub condition: Option<&'a str>,
    /// The transformation.
    pub transformation: Option<&'a str>,
    /// A JSON object with the values of the programs' variables.
    pub variables: &'a [u8],
    /// How much may come out.
    pub limits: Limits,
}

/// A program that does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Which one.
    pub part: Part,
    /// Why.
    pub error: ProgramError,
}

/// Why a record came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The program failed on it.
    Program,
    /// It is not JSON.
    RecordMalformed,
    /// A result cannot be written as JSON.
    ResultMalformed,
    /// Too many results, or too large ones.
    ResultsTooLarge,
}

/// A record that came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which program.
    pub part: Part,
    /// Why.
    pub cause: Cause,
    /// The record's number in the batch fed last, counted from 0.
    pub record: u32,
    /// The program's own words.
    pub message: String,
}

/// Both programs, compiled, with the records they work on.
pub struct Pipeline {
    condition: Option<Program>,
    transformation: Option<Program>,
    globals: Vars<Val>,
    limits: Limits,
    records: Bytes,
    /// Bytes of `records` that are used up.
    used: usize,
    /// Records that are used up.
    number: u32,
    results: Batches,
    failure: Option<Failure>,
    search: Option<Search>,
    line: Vec<u8>,
    ends: Vec<usize>,
}

/// One of the two, with its text.
struct Program {
    text: String,
    filter: Filter,
}

impl Pipeline {
    /// Compiles both programs.
    ///
    /// # Errors
    /// If one of them does not compile.
    pub fn open(setup: &Setup<'_>) -> Result<Self, Invalid> {
        Ok(Self {
            condition: compile(Part::Condition, setup.condition)?,
            transformation: compile(Part::Transformation, setup.transformation)?,
            globals: globals(setup.variables),
            limits: setup.limits,
            records: Bytes::new(),
            used: 0,
            number: 0,
            results: Batches::new(setup.limits),
            failure: None,
            search: None,
            line: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// Takes records; what is left of those before is forgotten.
    pub fn feed(&mut self, records: Vec<u8>) {
        (self.records, self.used, self.number) = (records.into(), 0, 0);
    }

    /// The next results; `None` when the records fed are used up. Results of the records before a failure come first.
    ///
    /// # Errors
    /// If a record came to nothing.
    #[expect(clippy::should_implement_trait, reason = "an iterator would not tell the end of a batch from the end")]
    pub fn next(&mut self) -> Result<Option<Batch>, Failure> {
        loop {
            if let Some(full) = self.results.next_full() {
                return Ok(Some(full));
            }
            if self.failure.is_none() && self.used < self.records.len() {
                self.failure = self.one().err();
            } else if let Some(rest) = self.results.take_rest() {
                return Ok(Some(rest));
            } else {
                return self.failure.clone().map_or(Ok(None), Err);
            }
        }
    }

    /// Works on the next record.
    fn one(&mut self) -> Result<(), Failure> {
        let record = self.record();
        self.line.clear();
        self.ends.clear();
        let mut output = Output { lines: &mut self.line, ends: &mut self.ends, limits: self.limits };
        let programs = (self.condition.as_ref(), self.transformation.as_ref());
        let worked = work(programs, &self.globals, &record, &mut output);
        worked.map_err(|(part, cause, message)| Failure {
            part,
            cause,
            record: self.number,
            message: bounded(message),
        })?;
        let mut from = 0;
        for end in &self.ends {
            self.results.push(self.line.get(from..*end).unwrap_or_default());
            from = *end;
        }
        self.used += record.len();
        self.number += 1;
        Ok(())
    }

    /// The next record, with the end of its line.
    fn record(&self) -> Bytes {
        let rest = self.records.get(self.used..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        self.records.slice(self.used..self.used + length)
    }

    /// After a failure of a program: a place in it that is closer to what failed than the one before, if there is one.
    pub fn narrow(&mut self) -> Option<Position> {
        let failure = self.failure.as_ref().filter(|failure| failure.cause == Cause::Program)?;
        let program = match failure.part {
            Part::Condition => self.condition.as_ref(),
            Part::Transformation => self.transformation.as_ref(),
        };
        let text = &program?.text;
        let value = parse::parse(&self.record()).ok()?;
        let most = usize::try_from(self.limits.record_results).unwrap_or(usize::MAX);
        let alike = |filter: &Filter| {
            let mut results = run(filter, &self.globals, value.clone()).take(most);
            results.find_map(Result::err).is_some_and(|message| bounded(message) == failure.message)
        };
        self.search.get_or_insert_with(|| Search::new(text.clone())).next(alike)
    }
}

fn bounded(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MAX_WORDS));
    message
}

type Fault = (Part, Cause, String);

/// The results of one record, which go on together or not at all.
struct Output<'a> {
    lines: &'a mut Vec<u8>,
    ends: &'a mut Vec<usize>,
    limits: Limits,
}

impl Output<'_> {
    fn copy(&mut self, record: &[u8]) {
        self.lines.extend_from_slice(record.trim_ascii_end());
        self.end();
    }

    fn end(&mut self) {
        self.lines.push(b'\n');
        self.ends.push(self.lines.len());
    }

    fn add(&mut self, result: &Val) -> Result<(), (Cause, String)> {
        let Limits { batch_bytes, record_results, record_bytes, .. } = self.limits;
        let before = self.lines.len();
        json::write(self.lines, result)
            .map_err(|what| (Cause::ResultMalformed, format!("a result cannot be written as JSON: it is {what}")))?;
        self.end();
        if self.lines.len() - before > batch_bytes {
            return Err((Cause::ResultsTooLarge, format!("a result has more than {batch_bytes} bytes")));
        }
        if self.lines.len() > record_bytes || self.ends.len() > usize::try_from(record_results).unwrap_or(usize::MAX) {
            let message =
                format!("one record has more than {record_results} results or {record_bytes} bytes of results");
            return Err((Cause::ResultsTooLarge, message));
        }
        Ok(())
    }
}

fn compile(part: Part, program: Option<&str>) -> Result<Option<Program>, Invalid> {
    let Some(text) = program else { return Ok(None) };
    let filter = wherry_expr::compile(text).map_err(|error| Invalid { part, error })?;
    Ok(Some(Program { text: text.to_owned(), filter }))
}

/// The values of the programs' variables in the order of their names; what is not given is null.
fn globals(variables: &[u8]) -> Vars<Val> {
    let given = match read::parse_single(variables) {
        Ok(Val::Obj(fields)) => fields,
        Ok(_) | Err(_) => Map::default().into(),
    };
    let value = |name: &str| given.get(&Val::utf8_str(name.trim_start_matches('$').to_owned()));
    Vars::new(GLOBALS.iter().map(|name| value(name).cloned().unwrap_or_default()))
}

fn work(
    (condition, transformation): (Option<&Program>, Option<&Program>),
    globals: &Vars<Val>,
    record: &Bytes,
    output: &mut Output<'_>,
) -> Result<(), Fault> {
    let first = if condition.is_some() { Part::Condition } else { Part::Transformation };
    let value = parse::parse(record).map_err(|byte| (first, Cause::RecordMalformed, format!("at its byte {byte}")))?;
    if let Some(condition) = condition {
        // Values share what they hold, so a copy is cheap.
        if !holds(&condition.filter, globals, value.clone())? {
            return Ok(());
        }
    }
    let Some(transformation) = transformation else {
        output.copy(record);
        return Ok(());
    };
    for result in run(&transformation.filter, globals, value) {
        let part = Part::Transformation;
        let result = result.map_err(|message| (part, Cause::Program, message))?;
        output.add(&result).map_err(|(cause, message)| (part, cause, message))?;
    }
    Ok(())
}

/// Whether any result is neither `false` nor `null`.
fn holds(condition: &Filter, globals: &Vars<Val>, value: Val) -> Result<bool, Fault> {
    for result in run(condition, globals, value) {
        match result {
            Ok(Val::Null | Val::Bool(false)) => {}
            Ok(Val::Bool(true) | Val::Num(_) | Val::BStr(_) | Val::TStr(_) | Val::Arr(_) | Val::Obj(_)) => {
                return Ok(true);
            }
            Err(message) => return Err((Part::Condition, Cause::Program, message)),
        }
    }
    Ok(false)
}

fn run<'a>(program: &'a Filter, globals: &Vars<Val>, value: Val) -> impl Iterator<Item = Result<Val, String>> + 'a {
    let context = Ctx::<Data>::new(&program.lut, globals.clone());
    program.id.run((context, value)).map(|result| {
        // Only errors get out of a whole program: it cannot halt, and labels are bound inside it.
        result.map_err(|exception| exception.get_err().map_or_else(|_| "it broke off".to_owned(), |e| e.to_string()))
    })
}
