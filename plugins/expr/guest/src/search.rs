//! Where in a program a failure came from: the language does not say, so smaller and smaller parts of the program are
//! tried on the same record, as long as they fail alike.
//!
//! A search can take as long as the program itself, and longer. The host asks for one step at a time and stops when it
//! has had enough; whatever was found until then holds.

use wherry_expr::{
    Filter, Position,
    tree::{Tree, compile_tree, parse, place},
};

use crate::parts::Spot;

/// Most parts that are tried: a path through a program of a hundred lines.
const MOST: u32 = 300;

/// A search that goes on.
#[derive(Debug)]
pub(crate) struct Search {
    text: String,
    /// Which part was found at each step, from the whole inwards.
    found: Vec<usize>,
    begun: bool,
    tried: u32,
}

impl Search {
    /// For the text of a program that failed.
    pub(crate) const fn new(text: String) -> Self {
        Self { text, found: Vec::new(), begun: false, tried: 0 }
    }

    /// A place that is closer than the last one, if there is one. `fails` tells whether a program fails as the whole one
    /// did.
    pub(crate) fn next(&mut self, fails: impl Fn(&Filter) -> bool) -> Option<Position> {
        let text = std::mem::take(&mut self.text);
        let place = self.step(&text, fails);
        self.text = text;
        place
    }

    fn step(&mut self, text: &str, fails: impl Fn(&Filter) -> bool) -> Option<Position> {
        let mut spot = Spot::of(parse(text)?);
        for number in &self.found {
            let part = spot.parts().into_iter().nth(*number)?;
            spot.enter(part);
        }
        if !std::mem::replace(&mut self.begun, true) {
            // What was read here has to be the same program.
            self.fails(spot.program(), &fails).then_some(())?;
            return Some(spot.begins().and_then(|word| place(text, word)).unwrap_or(Position::START));
        }
        loop {
            let mut parts = spot.parts().into_iter().enumerate();
            let (number, part) = parts.find(|(_, part)| self.fails(spot.program_of(part), &fails))?;
            spot.enter(part);
            self.found.push(number);
            if let Some(place) = spot.begins().and_then(|word| place(text, word)) {
                return Some(place);
            }
        }
    }

    fn fails(&mut self, program: Tree<'_>, fails: &impl Fn(&Filter) -> bool) -> bool {
        self.tried += 1;
        self.tried <= MOST && compile_tree(program).is_some_and(|filter| fails(&filter))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Limits, Pipeline, Setup};

    const LIMITS: Limits = Limits { batch_rows: 10, batch_bytes: 10_000, record_results: 100, record_bytes: 10_000 };

    /// Line and column of the closest place, and in how many steps it was found.
    fn found(program: &str, record: &str) -> Option<(u32, u32, usize)> {
        let variables = br#"{"vars":{"n":1},"run":{},"agent":{}}"#;
        let setup = Setup { condition: None, transformation: Some(program), variables, limits: LIMITS };
        let mut pipeline = Pipeline::open(&setup).unwrap();
        pipeline.feed(format!("{record}\n").into_bytes());
        while let Ok(some) = pipeline.next() {
            assert!(some.is_some(), "{program} does not fail on {record}");
        }
        let places: Vec<_> = std::iter::from_fn(|| pipeline.narrow()).collect();
        places.last().map(|at| (at.line, at.column, places.len()))
    }

    /// Every program fails on the record where `>` stands, which is not a part of it.
    #[test]
    fn the_part_that_fails_is_found() {
        let record = r#"{"a":{"b":[1,"x",{"c":null}]},"n":5,"t":"abc","list":[{"p":1},{"p":"y"}],"time":"never"}"#;
        for marked in [
            ".a.b | >.c",
            ".a.b>.c",
            ".n\n  | tonumber\n  | >.[0] | .x",
            ".n | . + 1\n| >. - \"x\"",
            "{ id: .n,\n  name: (.t | >tonumber) }",
            "[.list[] | .p | >tonumber]",
            ".list | map(.p | >tonumber)",
            ".list | map({ q: (.p>.r) })",
            ".n as $n | .t as $t | $n | >$n - $t",
            "def f: .b; .a | f | >.x",
            "def f: .b.x; .a | >f",
            "if .n > 3 then .t | >tonumber else .a.b.c end",
            "if .n < 3 then .a.b.c elif (.a.b>.x) then 1 else 2 end",
            "if .n < 3 then .a.b.c else .t>.x end",
            "\"at \\(.t | >tonumber) h\"",
            ".time | >error(\"no time: \" + .)",
            ".time | try error catch (. | >tonumber)",
            ".n // 1 | >.x",
            "[1, 2] as [$x] | >$x.y",
            ".list | .[1].p |= >tonumber",
            "reduce (>.t[]) as $x (0; . + $x)",
            "label $out | .list[] | .p[>0], break $out",
            "$vars.n | >.x",
            ".\"t\">.\"first name\"",
        ] {
            // The last one: what is compared before it stays.
            let at = marked.rfind('>').unwrap();
            let (before, after) = (&marked[..at], &marked[at + 1..]);
            let program = format!("{before}{after}");
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
            let place = found(&program, record).map(|(line, column, _)| (line as usize, column as usize));
            assert_eq!(place, Some((line, column)), "{marked}");
        }
    }

    #[test]
    fn a_program_of_one_part_is_its_own_place() {
        assert_eq!(found(".x", "1"), Some((1, 1, 1)));
        assert_eq!(found("# why\n  error", "\"y\""), Some((2, 3, 1)));
    }

    #[test]
    fn a_search_ends_however_long_the_program_is() {
        let long = format!("{}.x", ". | ".repeat(100));
        let (line, column, steps) = found(&long, "1").unwrap();
        assert!(line == 1 && column > 1 && steps <= super::MOST as usize, "{column} {steps}");
    }
}
