//! Reads Rust as far as the floor plan needs it: tokens with their lines, without comments, and
//! which of them are test code.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A name, keyword or number.
    Word,
    /// One character of punctuation.
    Sign,
    /// A literal with quotes, or a lifetime. Never of interest.
    Quoted,
}

#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    /// The first and last line that it covers.
    pub lines: (usize, usize),
}

impl Token {
    pub fn is(&self, text: &str) -> bool {
        self.kind != Kind::Quoted && self.text == text
    }

    pub fn is_word(&self) -> bool {
        self.kind == Kind::Word
    }
}

/// The tokens of a file. Comments and white space are gone.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut reader = Reader {
        chars: text.chars().collect(),
        at: 0,
        line: 1,
    };
    let mut tokens = Vec::new();
    while let Some(token) = reader.next_token() {
        tokens.push(token);
    }
    tokens
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn step(&mut self) {
        if self.peek(0) == '\n' {
            self.line += 1;
        }
        self.at += 1;
    }

    fn is_at_end(&self) -> bool {
        self.at >= self.chars.len()
    }

    fn next_token(&mut self) -> Option<Token> {
        self.skip_space_and_comments();
        if self.is_at_end() {
            return None;
        }
        let (start, first_line) = (self.at, self.line);
        let kind = self.skip_token();
        let text: String = self.chars[start..self.at].iter().collect();
        Some(Token {
            kind,
            text: text.trim_start_matches("r#").to_string(),
            lines: (first_line, self.line),
        })
    }

    fn skip_space_and_comments(&mut self) {
        while !self.is_at_end() {
            match (self.peek(0), self.peek(1)) {
                ('/', '/') => self.skip_while(|c| c != '\n'),
                ('/', '*') => self.skip_block_comment(),
                (c, _) if c.is_whitespace() => self.step(),
                _ => return,
            }
        }
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0;
        while !self.is_at_end() {
            let change = match (self.peek(0), self.peek(1)) {
                ('/', '*') => 1,
                ('*', '/') => -1,
                _ => 0,
            };
            depth += change;
            self.step();
            if change != 0 {
                self.step();
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_while(&mut self, is_part: impl Fn(char) -> bool) {
        while !self.is_at_end() && is_part(self.peek(0)) {
            self.step();
        }
    }

    fn skip_token(&mut self) -> Kind {
        match self.peek(0) {
            '"' => self.skip_quoted('"'),
            '\'' => return self.skip_char_or_lifetime(),
            c if is_word_part(c) => return self.skip_word(),
            _ => {
                self.step();
                return Kind::Sign;
            }
        }
        Kind::Quoted
    }

    /// A name; or a literal that begins with letters: `b'x'`, `c"x"`, `r#"x"#`.
    fn skip_word(&mut self) -> Kind {
        let start = self.at;
        self.skip_while(is_word_part);
        let prefix: String = self.chars[start..self.at].iter().collect();
        match (prefix.as_str(), self.peek(0)) {
            ("b", '\'') => return self.skip_char_or_lifetime(),
            ("b" | "c", '"') => self.skip_quoted('"'),
            ("r" | "br" | "cr", '"') => self.skip_raw(0),
            ("r" | "br" | "cr", '#') => {
                let hashes = (0..).take_while(|ahead| self.peek(*ahead) == '#').count();
                if self.peek(hashes) == '"' {
                    self.skip_raw(hashes);
                } else {
                    // A raw name.
                    self.step();
                    self.skip_while(is_word_part);
                    return Kind::Word;
                }
            }
            _ => return Kind::Word,
        }
        Kind::Quoted
    }

    fn skip_quoted(&mut self, quote: char) {
        self.step();
        while !self.is_at_end() && self.peek(0) != quote {
            if self.peek(0) == '\\' {
                self.step();
            }
            self.step();
        }
        self.step();
    }

    fn skip_raw(&mut self, hashes: usize) {
        (0..=hashes).for_each(|_| self.step());
        while !self.is_at_end() {
            let is_end = self.peek(0) == '"' && (1..=hashes).all(|ahead| self.peek(ahead) == '#');
            self.step();
            if is_end {
                (0..hashes).for_each(|_| self.step());
                return;
            }
        }
    }

    fn skip_char_or_lifetime(&mut self) -> Kind {
        if self.peek(1) == '\\' || self.peek(2) == '\'' {
            self.skip_quoted('\'');
        } else {
            self.step();
            self.skip_while(is_word_part);
        }
        Kind::Quoted
    }
}

fn is_word_part(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// The index of the bracket that closes the one at `open` (or of the last token).
pub fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        depth += depth_change(token);
        if depth == 0 {
            return at;
        }
    }
    tokens.len() - 1
}

fn depth_change(token: &Token) -> i32 {
    match token.text.as_str() {
        "(" | "[" | "{" => 1,
        ")" | "]" | "}" => -1,
        _ => 0,
    }
}

/// A file's tokens in two heaps.
pub struct Split {
    pub code: Vec<Token>,
    /// The modules in files of their own that only tests see: `#[cfg(test)] mod name;`.
    pub test_modules: Vec<String>,
}

/// Takes the test code out: items under `#[test]`, `#[cfg(test)]` and `#[cfg(all(test, ..))]`.
pub fn split(tokens: &[Token]) -> Split {
    let mut split = Split {
        code: Vec::new(),
        test_modules: Vec::new(),
    };
    let mut at = 0;
    while at < tokens.len() {
        if let Some((body, is_inner)) = attribute(tokens, at) {
            if is_test_attribute(&tokens[body.clone()]) {
                if is_inner {
                    // The whole file.
                    split.code.clear();
                    return split;
                }
                let end = item_end(tokens, at);
                let item = &tokens[at..end];
                if let [.., keyword, name, semicolon] = item {
                    if keyword.is("mod") && semicolon.is(";") {
                        split.test_modules.push(name.text.clone());
                    }
                }
                at = end;
                continue;
            }
        }
        split.code.push(tokens[at].clone());
        at += 1;
    }
    split
}

/// The inside of the attribute that begins at `at`, and whether it is a `#![..]`.
fn attribute(tokens: &[Token], at: usize) -> Option<(std::ops::Range<usize>, bool)> {
    if !tokens[at].is("#") {
        return None;
    }
    let is_inner = tokens.get(at + 1)?.is("!");
    let open = at + 1 + usize::from(is_inner);
    tokens
        .get(open)?
        .is("[")
        .then(|| (open + 1..closing(tokens, open), is_inner))
}

fn is_test_attribute(body: &[Token]) -> bool {
    match body {
        [name] => name.is("test"),
        [cfg, open, predicate @ .., _close] => {
            cfg.is("cfg") && open.is("(") && is_test_predicate(predicate)
        }
        _ => false,
    }
}

/// `test`, or an `all(..)` with it among the members.
fn is_test_predicate(predicate: &[Token]) -> bool {
    match predicate {
        [name] => name.is("test"),
        [all, open, members @ .., _close] if all.is("all") && open.is("(") => {
            let mut depth = 0;
            members
                .split(|token| {
                    depth += depth_change(token);
                    depth == 0 && token.is(",")
                })
                .any(is_test_predicate)
        }
        _ => false,
    }
}

/// Where the item (statement, field, arm) ends whose attributes begin at `at`.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while let Some((body, false)) = tokens.get(at).and_then(|_| attribute(tokens, at)) {
        at = body.end + 1;
    }
    let end = Ending::of(&tokens[at..]);
    let mut depth = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        depth += depth_change(token);
        if depth < 0 {
            return at;
        }
        at += 1;
        let is_over = token.is(";")
            || token.is("}") && end != Ending::Semicolon
            || token.is(",") && end == Ending::Comma;
        if depth == 0 && is_over {
            return at;
        }
    }
    at
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Its own semicolon, though braces may come before it.
    Semicolon,
    /// A closing brace, or a semicolon before it.
    Brace,
    /// A comma too: a field, an arm, an argument.
    Comma,
}

impl Ending {
    fn of(item: &[Token]) -> Ending {
        let is_before_keyword = |token: &&Token| {
            let words = [
                "pub", "unsafe", "async", "extern", "(", "crate", "super", ")",
            ];
            token.kind == Kind::Quoted || words.iter().any(|word| token.is(word))
        };
        let mut words = item.iter().skip_while(is_before_keyword);
        let (Some(keyword), Some(next)) = (words.next(), words.next()) else {
            return Ending::Comma;
        };
        match keyword.text.as_str() {
            "use" | "static" | "type" | "let" => Ending::Semicolon,
            "const"
                if !["fn", "unsafe", "async", "extern"]
                    .iter()
                    .any(|word| next.is(word)) =>
            {
                Ending::Semicolon
            }
            "fn" | "mod" | "struct" | "enum" | "union" | "impl" | "trait" | "const" => {
                Ending::Brace
            }
            _ if next.is("!") => Ending::Brace,
            _ => Ending::Comma,
        }
    }
}
