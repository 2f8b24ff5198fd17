//! From words to a tree of conditions and an order.

use super::field::Field;
use super::value::Operand;
use super::words::{Word, split};

/// Longest query, and deepest nesting.
const LIMIT: usize = 20_000;
const DEPTH: usize = 32;

/// A query that was understood.
#[derive(Debug)]
pub(crate) struct Query {
    pub(super) condition: Option<Condition>,
    pub(super) order: Vec<(Field, bool)>,
}

/// What an issue has to fulfil.
#[derive(Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compare(Field, Operator, Vec<Operand>),
}

/// How a field is compared. The negations of `=`, `~` and `in` leave out issues without a value, as Jira does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Is,
    IsNot,
    In,
    NotIn,
    Contains,
    ContainsNot,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
}

/// Understands a query, or says in Jira's words why not.
pub(crate) fn parse(text: &str) -> Result<Query, String> {
    if text.len() > LIMIT {
        return Err(format!("The JQL query is longer than {LIMIT} characters."));
    }
    let mut parser = Parser { words: split(text)?.into_iter().peekable() };
    let begins_with_order = parser.at("order");
    let condition = match parser.words.peek() {
        None => None,
        Some(_) if begins_with_order => None,
        Some(_) => Some(parser.any(DEPTH)?),
    };
    let order = parser.order()?;
    match parser.words.next() {
        None => Ok(Query { condition, order }),
        Some(word) => Err(unexpected(&word)),
    }
}

struct Parser {
    words: std::iter::Peekable<std::vec::IntoIter<Word>>,
}

impl Parser {
    fn at(&mut self, keyword: &str) -> bool {
        matches!(self.words.peek(), Some(Word::Bare(word)) if word.eq_ignore_ascii_case(keyword))
    }

    fn take(&mut self, keyword: &str) -> bool {
        let there = self.at(keyword);
        if there {
            self.words.next();
        }
        there
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let there = matches!(self.words.peek(), Some(Word::Sign(found)) if *found == sign);
        if there {
            self.words.next();
        }
        there
    }

    fn expect(&mut self, sign: &'static str) -> Result<(), String> {
        if self.take_sign(sign) { Ok(()) } else { Err(format!("Error in the JQL Query: Expecting '{sign}'.")) }
    }

    fn any(&mut self, depth: usize) -> Result<Condition, String> {
        let mut either = vec![self.all(depth)?];
        while self.take("or") {
            either.push(self.all(depth)?);
        }
        Ok(if either.len() == 1 { either.remove(0) } else { Condition::Any(either) })
    }

    fn all(&mut self, depth: usize) -> Result<Condition, String> {
        let mut both = vec![self.one(depth)?];
        while self.take("and") || self.take_sign("&") {
            both.push(self.one(depth)?);
        }
        Ok(if both.len() == 1 { both.remove(0) } else { Condition::All(both) })
    }

    fn one(&mut self, depth: usize) -> Result<Condition, String> {
        let depth = depth.checked_sub(1).ok_or("Error in the JQL Query: It is nested too deeply.")?;
        if self.take("not") || self.take_sign("!") {
            return Ok(Condition::Not(Box::new(self.one(depth)?)));
        }
        if self.take_sign("(") {
            let inner = self.any(depth)?;
            self.expect(")")?;
            return Ok(inner);
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Condition, String> {
        let field = Field::named(&self.word()?)?;
        let operator = self.operator()?;
        let many = matches!(operator, Operator::In | Operator::NotIn);
        let mut operands = Vec::new();
        if many && self.take_sign("(") {
            operands.push(self.operand(&field)?);
            while self.take_sign(",") {
                operands.push(self.operand(&field)?);
            }
            self.expect(")")?;
        } else {
            operands.push(self.operand(&field)?);
        }
        Ok(Condition::Compare(field, operator, operands))
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let signs = [
            ("=", Operator::In),
            ("!=", Operator::NotIn),
            ("~", Operator::Contains),
            ("!~", Operator::ContainsNot),
            ("<", Operator::Less),
            ("<=", Operator::LessOrEqual),
            (">", Operator::More),
            (">=", Operator::MoreOrEqual),
        ];
        if let Some((_, operator)) = signs.into_iter().find(|(sign, _)| self.take_sign(sign)) {
            return Ok(operator);
        }
        if self.take("is") {
            return Ok(if self.take("not") { Operator::IsNot } else { Operator::Is });
        }
        if self.take("in") {
            return Ok(Operator::In);
        }
        if self.take("not") && self.take("in") {
            return Ok(Operator::NotIn);
        }
        Err("Error in the JQL Query: Expecting operator.".to_owned())
    }

    fn operand(&mut self, field: &Field) -> Result<Operand, String> {
        let is_text = matches!(self.words.peek(), Some(Word::Quoted(_)));
        let word = self.word()?;
        if is_text {
            return Operand::text(field, &word);
        }
        if !self.take_sign("(") {
            return Operand::word(field, &word);
        }
        let argument = if self.take_sign(")") {
            None
        } else {
            let argument = self.word()?;
            self.expect(")")?;
            Some(argument)
        };
        Operand::function(&word, argument.as_deref())
    }

    fn word(&mut self) -> Result<String, String> {
        match self.words.next() {
            Some(Word::Bare(word) | Word::Quoted(word)) => Ok(word),
            Some(other @ Word::Sign(_)) => Err(unexpected(&other)),
            None => Err("Error in the JQL Query: Unexpected end of input.".to_owned()),
        }
    }

    fn order(&mut self) -> Result<Vec<(Field, bool)>, String> {
        let mut order = Vec::new();
        if !self.take("order") {
            return Ok(order);
        }
        if !self.take("by") {
            return Err("Error in the JQL Query: Expecting 'by'.".to_owned());
        }
        loop {
            let field = Field::named(&self.word()?)?;
            let descending = self.take("desc");
            if !descending {
                self.take("asc");
            }
            order.push((field, descending));
            if !self.take_sign(",") {
                return Ok(order);
            }
        }
    }
}

fn unexpected(word: &Word) -> String {
    let (Word::Bare(text) | Word::Quoted(text)) = word else {
        return format!("Error in the JQL Query: Unexpected sign {word:?}.");
    };
    format!("Error in the JQL Query: Expecting either 'OR' or 'AND' but got '{text}'.")
}
