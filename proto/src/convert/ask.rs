//! Questions about connections, and their answers.

use core::time::Duration;

use wherry_domain::{area::Area, id::InvalidId};

use super::{
    Invalid, bounded, failure, parse,
    path::{path, wire_path},
    wire_failure,
};
use crate::{
    MAX_ACTION, MAX_ACTIVITY, MAX_ASK, MAX_QUESTION,
    frame::{Answer, Ask, Question, Trouble},
    wire::{
        self,
        answer::{self, Area as WireArea},
        ask,
    },
};

pub(super) fn ask(wire: wire::Ask) -> Result<Ask, Invalid> {
    let question = match wire.question.ok_or(Invalid::missing("question"))? {
        ask::Question::Test(ask::Test {}) => Question::Test,
        ask::Question::Discover(ask::Discover { activity, question }) => {
            bounded("activity", activity.len(), MAX_ACTIVITY)?;
            bounded("question", question.len(), MAX_QUESTION)?;
            Question::Discover { activity, question }
        }
        ask::Question::Recall(ask::Recall { run_id }) => Question::Recall { run: parse("run_id", &run_id)? },
    };
    Ok(Ask {
        id: parse("ask_id", &wire.ask_id)?,
        deployment: parse("deployment_digest", &wire.deployment_digest)?,
        connection: parse("connection", &wire.connection)?,
        question,
        limit: Duration::from_millis(wire.limit_ms).min(MAX_ASK),
    })
}

pub(super) fn wire_ask(ask: Ask) -> wire::Ask {
    wire::Ask {
        ask_id: ask.id.to_string(),
        deployment_digest: ask.deployment.to_string(),
        connection: ask.connection.to_string(),
        limit_ms: millis(ask.limit),
        question: Some(match ask.question {
            Question::Test => ask::Question::Test(ask::Test {}),
            Question::Discover { activity, question } => ask::Question::Discover(ask::Discover { activity, question }),
            Question::Recall { run } => ask::Question::Recall(ask::Recall { run_id: run.to_string() }),
        }),
    }
}

pub(super) fn answer(wire: wire::Answer) -> Result<Answer, Invalid> {
    let id = wire.ask_id.parse().map_err(|error: InvalidId| Invalid::new("ask_id", error))?;
    let result = match wire.result.ok_or(Invalid::missing("result"))? {
        answer::Result::Done(answer::Done { document }) => {
            bounded("document", document.len(), MAX_ACTION)?;
            Ok(document)
        }
        answer::Result::Trouble(trouble) => Err(self::trouble(trouble)?),
    };
    let path = wire.path.map(path).transpose()?;
    Ok(Answer { id, duration: Duration::from_millis(wire.duration_ms), result, path })
}

pub(super) fn wire_answer(answer: Answer) -> wire::Answer {
    let result = match answer.result {
        Ok(document) => answer::Result::Done(answer::Done { document }),
        Err(Trouble { failure, area }) => answer::Result::Trouble(answer::Trouble {
            failure: Some(wire_failure(failure)),
            area: match area {
                Area::Network => WireArea::Network,
                Area::Authentication => WireArea::Authentication,
                Area::Permission => WireArea::Permission,
                Area::Configuration => WireArea::Configuration,
                Area::Connector => WireArea::Connector,
            }
            .into(),
        }),
    };
    wire::Answer {
        ask_id: answer.id.to_string(),
        duration_ms: millis(answer.duration),
        result: Some(result),
        path: answer.path.map(wire_path),
    }
}

fn trouble(wire: answer::Trouble) -> Result<Trouble, Invalid> {
    let area = wire.area();
    let failure = failure(wire.failure.ok_or(Invalid::missing("failure"))?);
    let area = match area {
        // An area of a later version: the code still says something.
        WireArea::Unspecified => Area::of(&failure.code, None),
        WireArea::Network => Area::Network,
        WireArea::Authentication => Area::Authentication,
        WireArea::Permission => Area::Permission,
        WireArea::Configuration => Area::Configuration,
        WireArea::Connector => Area::Connector,
    };
    Ok(Trouble { failure, area })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use wherry_domain::{
        digest::Digest,
        failure::{Code, Failure},
        id::AskId,
    };

    use super::*;
    use crate::frame::{FromAgent, FromController};

    fn sent(question: Question) -> Ask {
        Ask {
            id: AskId::from_u128(7),
            deployment: Digest::from_bytes([3; 32]),
            connection: "desk".parse().unwrap(),
            question,
            limit: Duration::from_secs(30),
        }
    }

    fn discover(activity: usize, question: usize) -> Question {
        Question::Discover { activity: "a".repeat(activity), question: vec![b' '; question] }
    }

    #[test]
    fn questions_and_answers_come_through_as_they_were() {
        let recall = Question::Recall { run: wherry_domain::id::RunId::from_u128(9) };
        for question in [Question::Test, discover(MAX_ACTIVITY, MAX_QUESTION), recall] {
            let frame = FromController::Ask(sent(question));
            assert_eq!(FromController::from_wire(frame.clone().into_wire()), Ok(Some(frame)));
        }
        let areas = [Area::Network, Area::Authentication, Area::Permission, Area::Configuration, Area::Connector];
        let troubles = areas.map(|area| Err(Trouble { failure: Failure::retry(Code::new("a.b"), "why"), area }));
        for result in troubles.into_iter().chain([Ok(vec![b' '; MAX_ACTION])]) {
            let answer = Answer { id: AskId::from_u128(7), duration: Duration::from_millis(12), result, path: None };
            let frame = FromAgent::Answer(answer);
            assert_eq!(FromAgent::from_wire(frame.clone().into_wire()), Ok(Some(frame)));
        }
    }

    #[test]
    fn what_is_too_large_means_nothing() {
        for question in [discover(MAX_ACTIVITY + 1, 0), discover(0, MAX_QUESTION + 1)] {
            assert!(FromController::from_wire(FromController::Ask(sent(question)).into_wire()).is_err());
        }
        let result = Ok(vec![b' '; MAX_ACTION + 1]);
        let answer = Answer { id: AskId::from_u128(7), duration: Duration::ZERO, result, path: None };
        assert!(FromAgent::from_wire(FromAgent::Answer(answer).into_wire()).is_err());
    }

    #[test]
    fn a_question_of_an_unknown_kind_is_ignored_and_an_unknown_area_is_judged_by_its_code() {
        let unknown = wire::Ask { question: None, ..wire_ask(sent(Question::Test)) };
        let kind = Some(wire::controller_frame::Kind::Ask(unknown));
        assert_eq!(FromController::from_wire(wire::ControllerFrame { kind }), Ok(None));
        let failure = Failure::permanent(Code::new("secret.missing"), "it is not there");
        let later = answer::Trouble { failure: Some(wire_failure(failure)), area: 99 };
        assert_eq!(trouble(later).unwrap().area, Area::Authentication);
    }
}
