//! The parts of a program that see the same input as the whole, or one that can be named: what failed on a record can be
//! looked for among them.

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern, Term},
    },
    path::{Opt, Part as Step, Path},
};
use wherry_expr::tree::{Tree, WHOLE};

/// A part of a program with what stands around it.
pub(crate) struct Spot<'s> {
    tree: Tree<'s>,
    /// The outermost first.
    frames: Vec<Frame<'s>>,
    at: Option<&'s str>,
}

/// A part of a spot's tree.
pub(crate) struct Inner<'s> {
    tree: Tree<'s>,
    frame: Option<Frame<'s>>,
    /// Where it is, if its own words do not say so.
    at: Option<&'s str>,
}

/// What decides on the input of a part, and on whether it is asked at all.
#[derive(Clone)]
enum Frame<'s> {
    /// Behind a pipe, with the variables that it binds.
    Behind(Tree<'s>, Option<Pattern<&'s str>>),
    /// Under these definitions.
    Defined(Vec<Def<&'s str>>),
    /// Under a label.
    Labelled(&'s str),
    /// Where none of these holds, and then this one, if there is one.
    Branch(Vec<Tree<'s>>, Option<Tree<'s>>),
    /// With the error of this one.
    Caught(Tree<'s>),
}

impl<'s> Frame<'s> {
    fn around(&self, inside: Tree<'s>) -> Tree<'s> {
        match self.clone() {
            Self::Behind(left, pattern) => pipe(left, pattern, inside),
            Self::Defined(definitions) => Term::Def(definitions, inside.into()),
            Self::Labelled(label) => Term::Label(label, inside.into()),
            Self::Branch(before, None) => Term::IfThenElse(without(before), Some(inside.into())),
            Self::Branch(before, Some(condition)) => {
                let mut branches = without(before);
                branches.push((condition, inside));
                Term::IfThenElse(branches, Some(nothing().into()))
            }
            Self::Caught(tried) => Term::TryCatch(tried.into(), Some(inside.into())),
        }
    }
}

impl<'s> Spot<'s> {
    /// The whole program.
    pub(crate) const fn of(tree: Tree<'s>) -> Self {
        Self { tree, frames: Vec::new(), at: None }
    }

    /// Goes on to a part.
    pub(crate) fn enter(&mut self, part: Inner<'s>) {
        self.tree = part.tree;
        self.frames.extend(part.frame);
        self.at = part.at;
    }

    /// A program that does what the whole one does up to this spot and no more.
    pub(crate) fn program(&self) -> Tree<'s> {
        self.around(self.tree.clone())
    }

    /// The same for a part of the spot.
    pub(crate) fn program_of(&self, part: &Inner<'s>) -> Tree<'s> {
        match &part.frame {
            Some(frame) => self.around(frame.around(part.tree.clone())),
            None => self.around(part.tree.clone()),
        }
    }

    fn around(&self, inside: Tree<'s>) -> Tree<'s> {
        self.frames.iter().rev().fold(inside, |inside, frame| frame.around(inside))
    }

    /// The word with which it begins.
    pub(crate) fn begins(&self) -> Option<&'s str> {
        self.at.or_else(|| first(&self.tree))
    }

    /// Its parts, in the order in which they are asked.
    pub(crate) fn parts(&self) -> Vec<Inner<'s>> {
        match &self.tree {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Var(_) | Term::Break(_) | Term::Arr(None) => Vec::new(),
            Term::Arr(Some(tree)) | Term::Neg(tree) => vec![same(tree)],
            Term::Str(_, parts) => parts.iter().filter_map(interpolated).map(same).collect(),
            Term::Obj(entries) => entries.iter().flat_map(|(key, value)| entry(key, value.as_ref())).collect(),
            Term::BinOp(left, operator, right) => binary(left, operator, right),
            Term::Label(label, tree) => vec![framed(tree, Frame::Labelled(label))],
            Term::Fold(_, values, _, arguments) => [&**values].into_iter().chain(arguments.first()).map(same).collect(),
            Term::TryCatch(_, None) => Vec::new(),
            Term::TryCatch(tried, Some(caught)) => vec![framed(caught, Frame::Caught((**tried).clone()))],
            Term::IfThenElse(branches, otherwise) => choices(branches, otherwise.as_deref()),
            Term::Def(definitions, tree) => vec![framed(tree, Frame::Defined(definitions.clone()))],
            Term::Call(_, arguments) => called(arguments),
            Term::Path(head, Path(steps)) => path(head, steps),
        }
    }
}

fn same<'s>(tree: &Tree<'s>) -> Inner<'s> {
    Inner { tree: tree.clone(), frame: None, at: None }
}

fn framed<'s>(tree: &Tree<'s>, frame: Frame<'s>) -> Inner<'s> {
    Inner { frame: Some(frame), ..same(tree) }
}

fn pipe<'s>(left: Tree<'s>, pattern: Option<Pattern<&'s str>>, right: Tree<'s>) -> Tree<'s> {
    Term::BinOp(left.into(), BinaryOp::Pipe(pattern), right.into())
}

fn nothing<'s>() -> Tree<'s> {
    Term::Call("empty", Vec::new())
}

/// Branches in which nothing happens.
fn without(conditions: Vec<Tree<'_>>) -> Vec<(Tree<'_>, Tree<'_>)> {
    conditions.into_iter().map(|condition| (condition, nothing())).collect()
}

const fn interpolated<'t, 's>(part: &'t StrPart<&'s str, Tree<'s>>) -> Option<&'t Tree<'s>> {
    match part {
        StrPart::Term(tree) => Some(tree),
        StrPart::Str(_) | StrPart::Char(_) => None,
    }
}

/// Key and value; a key alone is a short form of `key: .key`.
fn entry<'s>(key: &Tree<'s>, value: Option<&Tree<'s>>) -> Vec<Inner<'s>> {
    match value {
        Some(value) => vec![same(key), same(value)],
        None => {
            let step = (Step::Index(key.clone()), Opt::Essential);
            vec![same(&Term::Path(Term::Id.into(), Path(vec![step])))]
        }
    }
}

fn binary<'s>(left: &Tree<'s>, operator: &BinaryOp<&'s str>, right: &Tree<'s>) -> Vec<Inner<'s>> {
    match operator {
        BinaryOp::Pipe(pattern) => {
            let behind = || Frame::Behind(left.clone(), pattern.clone());
            // Taking a value apart may fail as well.
            let taken =
                pattern.as_ref().and_then(variable).map(|at| Inner { at: Some(at), ..framed(&Term::Id, behind()) });
            [same(left)].into_iter().chain(taken).chain([framed(right, behind())]).collect()
        }
        BinaryOp::Update => vec![same(left), framed(right, Frame::Behind(left.clone(), None))],
        BinaryOp::Assign | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => vec![same(right), same(left)],
        // What fails on the left is passed over.
        BinaryOp::Alt => vec![same(right)],
        BinaryOp::Comma | BinaryOp::Or | BinaryOp::And | BinaryOp::Math(_) | BinaryOp::Cmp(_) => {
            vec![same(left), same(right)]
        }
    }
}

/// The first variable of a pattern that takes something apart.
fn variable<'s>(pattern: &Pattern<&'s str>) -> Option<&'s str> {
    fn any<'s>(pattern: &Pattern<&'s str>) -> Option<&'s str> {
        match pattern {
            Pattern::Var(name) => Some(name),
            Pattern::Arr(_) | Pattern::Obj(_) => variable(pattern),
        }
    }
    match pattern {
        Pattern::Var(_) => None,
        Pattern::Arr(items) => items.iter().find_map(any),
        Pattern::Obj(entries) => entries.iter().find_map(|(_, value)| any(value)),
    }
}

fn choices<'s>(branches: &[(Tree<'s>, Tree<'s>)], otherwise: Option<&Tree<'s>>) -> Vec<Inner<'s>> {
    let (mut parts, mut before) = (Vec::new(), Vec::new());
    for (condition, then) in branches {
        parts.push(framed(condition, Frame::Branch(before.clone(), None)));
        parts.push(framed(then, Frame::Branch(before.clone(), Some(condition.clone()))));
        before.push(condition.clone());
    }
    parts.extend(otherwise.map(|tree| framed(tree, Frame::Branch(before, None))));
    parts
}

/// What a filter is called with: most ask it of their own input, others, such as `map`, of each item.
fn called<'s>(arguments: &[Tree<'s>]) -> Vec<Inner<'s>> {
    let items = || Term::Path(Term::Id.into(), Path(vec![(Step::Range(None, None), Opt::Essential)]));
    let of_items = arguments.iter().map(|argument| framed(argument, Frame::Behind(items(), None)));
    arguments.iter().map(same).chain(of_items).collect()
}

fn path<'s>(head: &Tree<'s>, steps: &[(Step<Tree<'s>>, Opt)]) -> Vec<Inner<'s>> {
    let mut parts = Vec::new();
    match steps.split_last() {
        Some((last, before)) if !before.is_empty() => {
            let before = Term::Path(head.clone().into(), Path(before.to_vec()));
            parts.push(same(&before));
            parts.extend(indexes(last).map(same));
            let alone = Term::Path(Term::Id.into(), Path(vec![last.clone()]));
            parts.push(framed(&alone, Frame::Behind(before, None)));
        }
        Some((only, _)) => {
            parts.extend((!is_whole(head)).then(|| same(head)));
            parts.extend(indexes(only).map(same));
        }
        None => parts.push(same(head)),
    }
    parts
}

/// What a step of a path computes.
fn indexes<'t, 's>((step, _): &'t (Step<Tree<'s>>, Opt)) -> impl Iterator<Item = &'t Tree<'s>> {
    let (one, other) = match step {
        Step::Index(index) => (Some(index), None),
        Step::Range(from, to) => (from.as_ref(), to.as_ref()),
    };
    one.into_iter().chain(other)
}

fn is_whole(tree: &Tree<'_>) -> bool {
    matches!(tree, Term::Id) || matches!(tree, Term::Call(name, _) if *name == WHOLE)
}

/// The first word of a tree.
fn first<'s>(tree: &Tree<'s>) -> Option<&'s str> {
    match tree {
        Term::Id | Term::Recurse | Term::Arr(None) => None,
        Term::Num(word) | Term::Var(word) | Term::Break(word) | Term::Call(word, _) => Some(word),
        Term::Label(word, _) | Term::Fold(word, ..) => Some(word),
        Term::Str(Some(format), _) => Some(format),
        Term::Str(None, parts) => parts.iter().find_map(|part| match part {
            StrPart::Str(text) => Some(*text),
            StrPart::Term(tree) => first(tree),
            StrPart::Char(_) => None,
        }),
        Term::Arr(Some(tree)) | Term::Neg(tree) => first(tree),
        Term::Obj(entries) => {
            entries.iter().find_map(|(key, value)| first(key).or_else(|| value.as_ref().and_then(first)))
        }
        Term::BinOp(left, _, right) => first(left).or_else(|| first(right)),
        Term::TryCatch(tried, caught) => first(tried).or_else(|| caught.as_deref().and_then(first)),
        Term::IfThenElse(branches, _) => {
            branches.iter().find_map(|(condition, then)| first(condition).or_else(|| first(then)))
        }
        Term::Def(definitions, tree) => definitions.first().map(|definition| definition.name).or_else(|| first(tree)),
        Term::Path(head, Path(steps)) => first(head).or_else(|| steps.iter().flat_map(indexes).find_map(first)),
    }
}
