//! Questions about connections: whether one works, and what its connector can say about the system behind it.
//!
//! They take no slot and leave no trace. What leaves is a failure in the host's own words; the words of a connector
//! leave only where the agent owner's configuration lets them out.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use wherry_domain::{
    area::{Area, Complaint},
    failure::{Code, Failure},
    path::Path,
    time::Timestamp,
};
use wherry_host::{Blobs, Call, ConnectorFault, ErrorKind, FromConnector, Outcome, Task};
use wherry_proto::{
    MAX_ANSWER,
    frame::{Answer, Ask, FromAgent, Question, Trouble},
};

use super::{
    DRAINING, Executor, Shared,
    access::Access,
    allowed::Allowed,
    side::{Said, Side},
    words,
};
use crate::net::Trace;

/// Questions answered at once.
const AT_ONCE: usize = 2;
/// More than the limit of the question, so that the limit that people set is the one they read about.
const SLACK: Duration = Duration::from_secs(1);
/// Enough questions are being answered.
const BUSY: Code = Code::new("agent.busy");
/// The connector is not at hand yet.
const NOT_READY: Code = Code::new("connector.not_ready");
/// Nothing came back from the system.
const TIMED_OUT: Code = Code::new("connection.timed_out");
/// The answer is too long to be sent.
const TOO_LONG: Code = Code::new("sandbox.output_limit");
/// The answer of an action is not kept any more.
const ANSWER_GONE: Code = Code::new("action.answer_gone");
/// A defect of ours.
const DEFECT: Code = Code::new("agent.defect");

/// Room for questions, and what may be answered.
pub(super) struct Asks {
    places: Arc<Semaphore>,
    allowed: Allowed,
}

/// A question that is being answered.
struct Asking {
    shared: Arc<Shared>,
    ask: Ask,
    began: Timestamp,
}

impl Asks {
    pub(super) fn new(allowed: Allowed) -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), allowed }
    }

    fn admit(&self, question: &Question) -> Result<OwnedSemaphorePermit, Failure> {
        match question {
            Question::Discover { .. } => self.allowed.describe()?,
            // What left once may leave again, as long as the owner did not change his mind.
            Question::Recall { .. } => self.allowed.actions().map_err(|_| gone())?,
            Question::Test => {}
        }
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Failure::retry(BUSY, format!("the agent answers {AT_ONCE} questions about connections already"))
        })
    }
}

impl Executor {
    /// Answers a question about a connection; the answer goes to the session.
    pub fn ask(&self, ask: Ask) {
        let asking = Asking { shared: Arc::clone(&self.shared), began: self.shared.clock.now(), ask };
        let admitted = match self.shared.shutdown.is_stopping() {
            true => Err(Failure::retry(DRAINING, "the agent is stopping")),
            false => self.may_ask(&asking.ask.question),
        };
        match admitted {
            Ok(place) => drop(self.runtime.spawn(asking.run(place))),
            // If there is no room or no stream, the caller waits in vain, but not for ever.
            Err(failure) => drop(self.shared.voice.try_say(asking.answer(Err(trouble(failure, None)), None))),
        }
    }
}

impl Executor {
    fn may_ask(&self, question: &Question) -> Result<OwnedSemaphorePermit, Failure> {
        match question {
            Question::Test | Question::Discover { .. } => self.slots.open().map_err(|refusal| refusal.failure())?,
            // Nothing is done for it.
            Question::Recall { .. } => {}
        }
        self.asks.admit(question)
    }
}

impl Asking {
    async fn run(self, place: OwnedSemaphorePermit) {
        let trace = match &self.ask.question {
            Question::Test => Trace::wanted(),
            Question::Discover { .. } | Question::Recall { .. } => Trace::default(),
        };
        let result = AssertUnwindSafe(self.look(&trace)).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(ask = %self.ask.id, "a question about a connection panicked");
            Err(trouble(Failure::permanent(DEFECT, "the agent has a defect, see its log"), None))
        });
        drop(place);
        // A session that has ended forgot the question with it.
        let failure = result.as_ref().err().map(|trouble| &trouble.failure);
        let path = trace.path(failure.map(|failure| (&failure.code, failure.message.as_ref())));
        self.shared.voice.say_soon(self.answer(result, path)).await;
    }

    fn answer(&self, result: Result<Vec<u8>, Trouble>, path: Option<Path>) -> FromAgent {
        let duration = self.shared.clock.now().since(self.began);
        FromAgent::Answer(Answer { id: self.ask.id, duration, result, path })
    }

    async fn look(&self, trace: &Trace) -> Result<Vec<u8>, Trouble> {
        let Ask { id, deployment, connection, question, limit } = &self.ask;
        if let Question::Recall { run } = question {
            return self.shared.kept_answers.of_run(*run).ok_or_else(|| trouble(gone(), None));
        }
        let run = id.to_string();
        let access = timeout(*limit, self.shared.plans.connection(*deployment, connection, &run)).await;
        let access = access.unwrap_or_else(|_| Err(not_ready(*limit))).map_err(|failure| trouble(failure, None))?;
        let left = limit.saturating_sub(self.shared.clock.now().since(self.began));
        let task = task(&access, question, run, left).map_err(|failure| trouble(failure, None))?;
        let outcome = timeout(left, self.call(&access, task, trace)).await;
        let outcome = outcome.map_err(|_| trouble(timed_out(*limit), None))?;
        let outcome = outcome.map_err(|fault| {
            access.judge(&fault);
            tracing::info!(ask = %id, %connection, %fault, said = words::said(&fault), "a connector failed");
            trouble(access.failure(&fault, self.shared.allowed.connector_text()), complaint(&fault))
        })?;
        document(question, outcome).map_err(|failure| trouble(failure, None))
    }

    /// Runs the connector; dropping the future stops it at once.
    async fn call(&self, access: &Access, task: Task, trace: &Trace) -> Result<Outcome, ConnectorFault> {
        let egress = if trace.is_wanted() { access.traced_egress(trace) } else { access.egress() };
        let mut side = Side::start(access.connector.clone(), egress, task, Blobs::new(0));
        loop {
            match side.next(&mut None).await {
                // What a connector writes is for the agent owner only.
                Said::Message(FromConnector::Log { level, message, .. }) => {
                    tracing::debug!(ask = %self.ask.id, connection = %self.ask.connection, ?level, message, "connector");
                }
                Said::Message(_) | Said::Taken => {}
                Said::Ended(outcome) => return outcome,
            }
        }
    }
}

fn task(access: &Access, question: &Question, run: String, left: Duration) -> Result<Task, Failure> {
    let (call, activity, params) = match question {
        Question::Test => (Call::Test, String::new(), "{}".to_owned()),
        Question::Recall { .. } => return Err(gone()),
        Question::Discover { activity, question } => {
            if !activity.is_empty() {
                access.activity(activity, |_| true)?;
            }
            (Call::Discover, activity.clone(), String::from_utf8_lossy(question).into_owned())
        }
    };
    let time_limit_ms = u64::try_from((left + SLACK).as_millis()).unwrap_or(u64::MAX);
    let connection = access.connection.clone();
    Ok(Task { call, key: run.clone(), run, attempt: 1, activity, connection, params, time_limit_ms, ..Task::default() })
}

/// What of the outcome leaves: nothing of a test.
fn document(question: &Question, outcome: Outcome) -> Result<Vec<u8>, Failure> {
    match question {
        Question::Test | Question::Recall { .. } => Ok(Vec::new()),
        Question::Discover { .. } => {
            let document = outcome.output.unwrap_or_else(|| "null".to_owned()).into_bytes();
            let too_long =
                || format!("the connector answered {} bytes, at most {MAX_ANSWER} are accepted", document.len());
            if document.len() > MAX_ANSWER {
                return Err(Failure::permanent(TOO_LONG, too_long()));
            }
            Ok(document)
        }
    }
}

fn trouble(failure: Failure, complaint: Option<Complaint>) -> Trouble {
    Trouble { area: Area::of(&failure.code, complaint), failure }
}

/// What the connector complained of, if it said anything.
fn complaint(fault: &ConnectorFault) -> Option<Complaint> {
    let ConnectorFault::Reported(error) = fault else { return None };
    Some(match error.kind {
        ErrorKind::Config => Complaint::Config,
        ErrorKind::Auth => Complaint::Auth,
        ErrorKind::Forbidden => Complaint::Forbidden,
        ErrorKind::NotFound => Complaint::NotFound,
        ErrorKind::Throttled => Complaint::Throttled,
        ErrorKind::Transient => Complaint::Transient,
        ErrorKind::Data => Complaint::Data,
        ErrorKind::Cancelled => Complaint::Cancelled,
        ErrorKind::Unsupported => Complaint::Unsupported,
        ErrorKind::Internal => Complaint::Internal,
    })
}

fn gone() -> Failure {
    let message = "the agent does not have the answer any more: it keeps answers for ten minutes, in memory only";
    Failure::permanent(ANSWER_GONE, message)
}

fn not_ready(limit: Duration) -> Failure {
    let message =
        format!("the connector was not ready within {}: it is still being prepared, try again", seconds(limit));
    Failure::retry(NOT_READY, message)
}

fn timed_out(limit: Duration) -> Failure {
    let message = format!("nothing came of it within {}: the system answers slowly or not at all", seconds(limit));
    Failure::retry(TIMED_OUT, message)
}

fn seconds(limit: Duration) -> String {
    format!("{}s", limit.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use wherry_host::ConnectorError;

    use super::*;
    use crate::{config::Answers, policy::Policy};

    fn asks(own: Answers) -> Asks {
        Asks::new(Allowed { own, policy: Policy::default() })
    }

    fn discover() -> Question {
        Question::Discover { activity: String::new(), question: b"{}".to_vec() }
    }

    #[test]
    fn by_default_only_tests_are_answered_and_the_refusal_names_file_and_line() {
        let file = Some("/etc/wherry/agent.toml".into());
        let asks = asks(Answers { file, ..Answers::default() });
        let refused = asks.admit(&discover()).unwrap_err();
        assert_eq!(refused.code.as_str(), "connection.describe_not_allowed");
        let text = refused.message;
        assert!(text.contains("`describe = true` under [answers] to /etc/wherry/agent.toml"), "{text}");
        assert!(asks.admit(&Question::Test).is_ok());
        let open = self::asks(Answers { describe: true, ..Answers::default() });
        assert!(open.admit(&discover()).is_ok());
    }

    #[test]
    fn a_third_question_at_once_is_sent_back() {
        let asks = asks(Answers::default());
        let first = asks.admit(&Question::Test).unwrap();
        let _second = asks.admit(&Question::Test).unwrap();
        assert_eq!(asks.admit(&Question::Test).unwrap_err().code, BUSY);
        drop(first);
        assert!(asks.admit(&Question::Test).is_ok());
    }

    #[test]
    fn nothing_that_a_connector_says_of_a_test_leaves() {
        let said = || Outcome { output: Some("{\"signed_in_as\":\"Ada\"}".to_owned()), ..Outcome::default() };
        assert_eq!(document(&Question::Test, said()), Ok(Vec::new()));
        assert_eq!(document(&discover(), said()).unwrap(), b"{\"signed_in_as\":\"Ada\"}");
        let long = Outcome { output: Some("x".repeat(MAX_ANSWER + 1)), ..Outcome::default() };
        assert_eq!(document(&discover(), long).unwrap_err().code, TOO_LONG);
    }

    #[test]
    fn a_connectors_complaint_becomes_an_area_and_its_words_stay() {
        let error = ConnectorError {
            kind: ErrorKind::Auth,
            code: "crm.login_refused".into(),
            message: "Ada's password expired".into(),
            retry_after_ms: None,
            details: None,
            cause: None,
        };
        let fault = ConnectorFault::Reported(Box::new(error));
        let trouble = trouble(fault.failure(), complaint(&fault));
        assert_eq!((trouble.area, trouble.failure.code.as_str()), (Area::Authentication, "crm.login_refused"));
        assert!(!trouble.failure.message.contains("Ada"));
    }
}
