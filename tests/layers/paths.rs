//! The paths that a file names, resolved to where they lead.

use super::source::{Token, closing};

/// A path that may leave the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Path {
    pub root: Root,
    /// What follows the root; `*` for everything below.
    pub names: Vec<String>,
    pub line: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Root {
    /// `crate::`, and whatever `self::` and `super::` come to.
    House,
    /// A path that begins with another name: a crate, or something in scope.
    Other,
}

/// All paths in the code of `module` (the names of the modules from `crate` down to the file).
pub fn paths(code: &[Token], module: &[String]) -> Vec<Path> {
    let mut finder = Finder {
        code,
        module: module.to_vec(),
        ends: Vec::new(),
        found: Vec::new(),
    };
    finder.walk();
    finder.found
}

struct Finder<'a> {
    code: &'a [Token],
    /// Where we are, inline modules included, and where each of those ends.
    module: Vec<String>,
    ends: Vec<usize>,
    found: Vec<Path>,
}

impl Finder<'_> {
    fn is(&self, at: usize, text: &str) -> bool {
        self.code.get(at).is_some_and(|token| token.is(text))
    }

    fn is_word(&self, at: usize) -> bool {
        self.code.get(at).is_some_and(Token::is_word)
    }

    fn is_double_colon(&self, at: usize) -> bool {
        self.is(at, ":") && self.is(at + 1, ":")
    }

    fn walk(&mut self) {
        let mut at = 0;
        while at < self.code.len() {
            if self.ends.last() == Some(&at) {
                self.ends.pop();
                self.module.pop();
            }
            if self.is(at, "mod") && self.is_word(at + 1) && self.is(at + 2, "{") {
                self.module.push(self.code[at + 1].text.clone());
                self.ends.push(closing(self.code, at + 2));
                at += 3;
            } else if self.is(at, "use") {
                at = self.use_tree(at + 1, &[]);
            } else if self.is(at, "extern") && self.is(at + 1, "crate") {
                self.keep(at + 2, vec![self.code[at + 2].text.clone()]);
                at += 3;
            } else if self.is_path_start(at) {
                at = self.plain_path(at);
            } else {
                at += 1;
            }
        }
    }

    /// A name before `::` that is not itself the tail of a path.
    fn is_path_start(&self, at: usize) -> bool {
        let is_tail = at >= 2
            && self.is_double_colon(at - 2)
            && at >= 3
            && (self.is_word(at - 3) || self.is(at - 3, ">"));
        self.is_word(at) && self.is_double_colon(at + 1) && !is_tail
    }

    fn plain_path(&mut self, start: usize) -> usize {
        let mut names = vec![self.code[start].text.clone()];
        let mut at = start + 1;
        while self.is_double_colon(at) && self.is_word(at + 2) {
            names.push(self.code[at + 2].text.clone());
            at += 3;
        }
        self.keep(start, names);
        at
    }

    /// One branch of a `use`, behind what stands before its braces. Answers where it ends.
    fn use_tree(&mut self, start: usize, before: &[String]) -> usize {
        let mut names = before.to_vec();
        let mut at = start;
        loop {
            if self.is_double_colon(at) {
                at += 2;
            } else if self.is(at, "{") {
                let end = closing(self.code, at);
                at += 1;
                while at < end {
                    at = self.use_tree(at, &names);
                    at += usize::from(self.is(at, ","));
                }
                return end + 1;
            } else if self.is(at, "*") || self.is_word(at) && !self.is(at, "as") {
                names.push(self.code[at].text.clone());
                at += 1;
            } else {
                break;
            }
        }
        if names.len() > 1 && names.last().is_some_and(|name| name == "self") {
            names.pop();
        }
        if !names.is_empty() {
            self.keep(start, names);
        }
        // `as name`
        at + 2 * usize::from(self.is(at, "as"))
    }

    fn keep(&mut self, at: usize, names: Vec<String>) {
        let line = self.code[at].lines.0;
        let mut place = self.module.clone();
        let mut rest = names.as_slice();
        let mut root = Root::Other;
        while let [first, others @ ..] = rest {
            match first.as_str() {
                "crate" => place.clear(),
                "self" => {}
                "super" => {
                    place.pop();
                }
                _ => break,
            }
            root = Root::House;
            rest = others;
        }
        let names = match root {
            Root::House => [&place, rest].concat(),
            Root::Other => names,
        };
        self.found.push(Path { root, names, line });
    }
}
