//! Programs as trees, and parts of them compiled by themselves: for finding out which part of one failed.

use jaq_core::{
    Compiler,
    load::{
        Arena, File, Lexer, Loader, Parser,
        lex::{StrPart, Tok, Token},
        parse::{Def, Term},
    },
};

use crate::{
    Filter, Position,
    language::{self, GLOBALS},
};

/// A program or a part of one. Its words are pieces of the text that it was read from.
pub type Tree<'s> = Term<&'s str>;

/// The whole input. A `.` that stands alone is read as a call of this name, so that its place is known, too.
pub const WHOLE: &str = ".";
/// The name under which a part is compiled.
const PART: &str = "__part";
/// Calls it with the programs' variables, [`GLOBALS`]: definitions see nothing of the program that calls them.
const CALL: &str = "__part($vars; $run; $agent)";

/// Reads a program; nothing if it is none.
pub fn parse(text: &str) -> Option<Tree<'_>> {
    let tokens = named(Lexer::new(text).lex().ok()?);
    Parser::new(&tokens).parse(Parser::term).ok()
}

/// Compiles a tree with the programs' variables; nothing if it means nothing by itself.
pub fn compile_tree(tree: Tree<'_>) -> Option<Filter> {
    let arena = Arena::default();
    let whole = Def { name: WHOLE, args: Vec::new(), body: Term::Id };
    let part = Def { name: PART, args: GLOBALS.to_vec(), body: tree };
    let definitions = language::definitions().map(shorter).chain([whole, part]);
    let modules = Loader::new(definitions).load(&arena, File { code: CALL, path: () }).ok()?;
    Compiler::default().with_funs(language::functions()).with_global_vars(GLOBALS).compile(modules).ok()
}

/// Where a word of a tree stands in the text that the tree was read from; nothing for a word from elsewhere. Of the key
/// in `.key` and `."key"` the place of the dot.
pub fn place(text: &str, word: &str) -> Option<Position> {
    let mut byte = (word.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    for mark in ['"', '.'] {
        byte -= usize::from(text.get(..byte)?.ends_with(mark));
    }
    Some(Position::of_byte(text, byte))
}

const fn shorter<'s>(definition: Def<&'static str>) -> Def<&'s str> {
    definition
}

/// Gives every `.` that is a filter by itself a name.
fn named(tokens: Vec<Token<&str>>) -> Vec<Token<&str>> {
    let mut tokens = tokens.into_iter().peekable();
    let mut all = Vec::new();
    while let Some(Token(text, kind)) = tokens.next() {
        let key_follows = matches!(tokens.peek(), Some(Token(_, Tok::Str(_) | Tok::Fmt)));
        all.push(Token(
            text,
            match kind {
                Tok::Sym if text == WHOLE && !key_follows => Tok::Word,
                Tok::Block(inside) => Tok::Block(named(inside)),
                Tok::Str(parts) => Tok::Str(parts.into_iter().map(named_inside).collect()),
                other @ (Tok::Word | Tok::Var | Tok::Fmt | Tok::Num | Tok::Sym) => other,
            },
        ));
    }
    all
}

fn named_inside<'s>(part: StrPart<&'s str, Token<&'s str>>) -> StrPart<&'s str, Token<&'s str>> {
    match part {
        StrPart::Term(Token(text, Tok::Block(inside))) => StrPart::Term(Token(text, Tok::Block(named(inside)))),
        other @ (StrPart::Term(_) | StrPart::Str(_) | StrPart::Char(_)) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_tree_have_places() {
        let text = ". |\n  .name | .\"first name\" | f($x)";
        let mut places = Vec::new();
        words(&parse(text).unwrap(), &mut |word| places.push((word.to_owned(), place(text, word).unwrap())));
        let found: Vec<_> = places.iter().map(|(word, at)| (word.as_str(), at.line, at.column)).collect();
        assert_eq!(found, [(".", 1, 1), ("name", 2, 3), ("first name", 2, 11), ("f", 2, 27), ("$x", 2, 29)]);
        assert_eq!(place(text, "elsewhere"), None);
    }

    #[test]
    fn parts_are_compiled_with_the_programs_variables_and_without_what_is_left_out() {
        assert_eq!(CALL, format!("{PART}({})", GLOBALS.join("; ")));
        for (text, compiles) in [("$vars.a + 1", true), (".[] | .a", true), ("$other", false), ("env", false)] {
            assert_eq!(parse(text).and_then(compile_tree).is_some(), compiles, "{text}");
        }
        assert!(parse(". |").is_none());
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "those that the test has")]
    fn words<'s>(tree: &Tree<'s>, tell: &mut impl FnMut(&'s str)) {
        match tree {
            Term::BinOp(left, _, right) => {
                words(left, tell);
                words(right, tell);
            }
            Term::Call(name, arguments) => {
                tell(name);
                arguments.iter().for_each(|argument| words(argument, tell));
            }
            Term::Path(_, path) => {
                for (part, _) in &path.0 {
                    if let jaq_core::path::Part::Index(key) = part {
                        words(key, tell);
                    }
                }
            }
            Term::Str(_, parts) => parts.iter().for_each(|part| {
                if let StrPart::Str(text) = part {
                    tell(text);
                }
            }),
            Term::Var(name) => tell(name),
            other => panic!("{other:?}"),
        }
    }
}
