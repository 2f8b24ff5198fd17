//! The part of the Jira Query Language that connectors use: comparisons, `AND`, `OR`, `NOT`, brackets, `ORDER BY`.

mod field;
mod tree;
mod value;
mod words;

use std::cmp::Ordering;

use super::issue::Issue;
use super::people::People;
use field::Field;
use tree::{Condition, Operator};
pub(crate) use tree::{Query, parse};
use value::Operand;

/// Who asks, and among whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) people: &'a People,
    /// Position of the person who asks.
    pub(crate) caller: usize,
}

/// Where an issue stands among others.
pub(crate) type Rank = Vec<i64>;

impl Query {
    /// Whether it restricts anything; the newer search refuses queries that do not.
    pub(crate) fn is_bounded(&self) -> bool {
        self.condition.is_some()
    }

    /// Whether an issue fulfils it.
    pub(crate) fn matches(&self, issue: &Issue, scope: Scope<'_>) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(issue, scope))
    }

    /// What an issue is sorted by; the newest is first where nothing is said.
    pub(crate) fn rank(&self, issue: &Issue) -> Rank {
        let by = |(field, descending): &(Field, bool)| {
            let at = field.moment(issue).unwrap_or_default();
            if *descending { at.wrapping_neg() } else { at }
        };
        let mut rank: Rank = self.order.iter().map(by).collect();
        let id = i64::try_from(issue.id).unwrap_or_default();
        let newest_first = self.order.first().is_none_or(|(_, descending)| *descending);
        rank.push(if newest_first { -id } else { id });
        rank
    }
}

impl Condition {
    fn holds(&self, issue: &Issue, scope: Scope<'_>) -> bool {
        match self {
            Self::All(all) => all.iter().all(|condition| condition.holds(issue, scope)),
            Self::Any(any) => any.iter().any(|condition| condition.holds(issue, scope)),
            Self::Not(inner) => !inner.holds(issue, scope),
            Self::Compare(field, operator, operands) => compare(field, *operator, operands, issue, scope),
        }
    }
}

fn compare(field: &Field, operator: Operator, operands: &[Operand], issue: &Issue, scope: Scope<'_>) -> bool {
    let empty = is_empty(field, issue, scope);
    let wants_empty = operands.contains(&Operand::Empty);
    match operator {
        Operator::Is => empty == wants_empty,
        Operator::IsNot => empty != wants_empty,
        Operator::In => operands.iter().any(|operand| equals(field, operand, issue, scope)) || (empty && wants_empty),
        Operator::NotIn => !empty && !operands.iter().any(|operand| equals(field, operand, issue, scope)),
        Operator::Contains => operands.iter().any(|operand| contains(field, operand, issue, scope)),
        Operator::ContainsNot => !empty && !operands.iter().any(|operand| contains(field, operand, issue, scope)),
        Operator::Less => ordered(field, operands, issue, &[Ordering::Less]),
        Operator::LessOrEqual => ordered(field, operands, issue, &[Ordering::Less, Ordering::Equal]),
        Operator::More => ordered(field, operands, issue, &[Ordering::Greater]),
        Operator::MoreOrEqual => ordered(field, operands, issue, &[Ordering::Greater, Ordering::Equal]),
    }
}

fn is_empty(field: &Field, issue: &Issue, scope: Scope<'_>) -> bool {
    if matches!(field, Field::Resolution | Field::Resolved) {
        return issue.is_open();
    }
    !field.is_date() && !field.any(issue, scope.people, &mut |_| true)
}

fn equals(field: &Field, operand: &Operand, issue: &Issue, scope: Scope<'_>) -> bool {
    match operand {
        Operand::Empty => false,
        Operand::Moment(at) => field.moment(issue) == Some(*at),
        Operand::Text(text) => field.any(issue, scope.people, &mut |name| name.eq_ignore_ascii_case(text)),
        Operand::CurrentUser => {
            let caller = scope.people.get(scope.caller);
            caller.is_some_and(|caller| field.any(issue, scope.people, &mut |name| name == caller.id))
        }
    }
}

/// Every word of the text has to be there; a text in quotes within the quotes has to be there as it is.
fn contains(field: &Field, operand: &Operand, issue: &Issue, scope: Scope<'_>) -> bool {
    let Operand::Text(text) = operand else { return false };
    let lower = text.to_lowercase();
    let exact = lower.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    field.any(issue, scope.people, &mut |name| {
        let name = name.to_lowercase();
        match exact {
            Some(exact) => name.contains(exact),
            None => lower.split_whitespace().all(|word| name.contains(word.trim_end_matches('*'))),
        }
    })
}

fn ordered(field: &Field, operands: &[Operand], issue: &Issue, wanted: &[Ordering]) -> bool {
    let bound = operands.iter().find_map(|operand| match operand {
        Operand::Moment(at) => Some(*at),
        Operand::Text(text) if *field == Field::Key => key(text),
        Operand::Text(_) | Operand::CurrentUser | Operand::Empty => None,
    });
    let (Some(bound), Some(value)) = (bound, field.moment(issue)) else { return false };
    wanted.contains(&value.cmp(&bound))
}

/// Keys are ordered by project, then by number; ids of issues are as ordered as they are made.
fn key(text: &str) -> Option<i64> {
    match super::issue::Reference::parse(text)? {
        super::issue::Reference::Key(desk, number) => Some((i64::from(desk) << 40) + i64::try_from(number).ok()?),
        super::issue::Reference::Id(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsm::flavour::Flavour;
    use crate::jsm::seed;

    #[test]
    fn conditions_select_what_they_say() {
        for (jql, expected) in [
            ("project = IT", 250),
            ("project = HR", 0),
            ("project in (IT, HR) AND statusCategory != Done", 150),
            ("project = IT AND status = Resolved", 50),
            ("status in (Resolved, Closed) AND NOT status = Closed", 50),
            ("resolution = Unresolved", 150),
            ("assignee IS EMPTY", 166),
            ("assignee is not EMPTY", 84),
            ("assignee = \"bjorn@example.com\"", 84),
            ("assignee != 'ada@example.com'", 84),
            ("reporter = currentUser()", 0),
            ("key = IT-7 OR issuekey = \"it-9\" OR id = 10000", 3),
            ("key > IT-240", 10),
            ("summary ~ \"vpn hour\"", 32),
            ("text ~ \"\\\"both at home\\\"\"", 32),
            ("Impact = \"Extensive / Widespread\"", 13),
            ("cf[10011] is not empty", 50),
            ("created < \"2025-01-06 09:00\"", 77),
            ("created >= -1d", 0),
            ("labels = x", 0),
            ("(status = Resolved OR status = Closed) AND priority = High & created > '2025-01-01'", 25),
            ("", 250),
            ("ORDER BY created", 250),
        ] {
            assert_eq!(found(jql).len(), expected, "{jql}");
        }
    }

    #[test]
    fn an_order_is_kept_and_ends_in_the_id() {
        let ids = |jql| found(jql).into_iter().map(|issue| issue.number).collect::<Vec<_>>();
        assert_eq!(ids("key <= IT-3 ORDER BY created ASC"), [1, 2, 3]);
        assert_eq!(ids("key <= IT-3 ORDER BY created DESC"), [3, 2, 1]);
        assert_eq!(ids("key <= IT-3"), [3, 2, 1]);
        assert_eq!(ids("key <= IT-6 ORDER BY status DESC, key ASC"), [5, 4, 3, 2, 1, 6]);
    }

    #[test]
    fn what_cannot_be_understood_is_told() {
        for (jql, part) in [
            ("colour = red", "Field 'colour' does not exist"),
            ("project = NOPE", "'NOPE' does not exist for the field 'project'"),
            ("status Resolved", "Expecting operator"),
            ("status = Resolved status = Closed", "but got 'status'"),
            ("status = \"Resolved", "has not been completed"),
            ("created > yesterday", "Date value 'yesterday'"),
            ("status in (Resolved", "Expecting ')'"),
            ("status = currentMood()", "Unable to find JQL function"),
            ("status = a{b", "reserved JQL character"),
            (&"(".repeat(100), "nested too deeply"),
        ] {
            let error = parse(jql).unwrap_err();
            assert!(error.contains(part), "{jql}: {error}");
        }
    }

    fn found(jql: &str) -> Vec<Issue> {
        let people = People::seeded(Flavour::Cloud, "http://sandbox");
        let query = parse(jql).unwrap();
        let scope = Scope { people: &people, caller: 0 };
        let mut all: Vec<_> = (0..250).map(seed::request).filter(|issue| query.matches(issue, scope)).collect();
        all.sort_by_key(|issue| query.rank(issue));
        all
    }
}
