//! The rules, each a function from files to faults.

use super::paths::{Root, paths};
use super::source::{Token, closing, split, tokens};
use super::{
    CHECKED, ESSAY, ESSAY_OF_FOLDER, FILE_MAX, FLOORS, FUNCTION_MAX, KNOW_THE_OS, LONG, NO_ESSAY,
    OUTSIDE, UNSAFE,
};

/// A file of the package, read.
pub struct File {
    /// From the package's root, with `/`.
    pub path: String,
    /// The `//!` lines at the head, without their marks.
    head: Vec<String>,
    all: Vec<Token>,
    /// `all` without the test code.
    code: Vec<Token>,
    test_modules: Vec<String>,
}

impl File {
    pub fn new(path: &str, text: &str) -> File {
        let text = text.replace("\r\n", "\n");
        let all = tokens(&text);
        let split = split(&all);
        let head = text.lines().map_while(|line| line.strip_prefix("//!"));
        File {
            path: path.to_string(),
            head: head.map(|line| line.trim().to_string()).collect(),
            code: split.code,
            test_modules: split.test_modules,
            all,
        }
    }

    /// The modules from `crate` down to this one; nothing for `lib.rs`. `None` outside of `src`.
    fn module(&self) -> Option<Vec<String>> {
        let path = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let path = path.strip_suffix("/mod").unwrap_or(path);
        let names = path.split('/').map(str::to_string);
        Some(names.filter(|_| path != "lib").collect())
    }

    /// The floor on which it lies; `lib` for `lib.rs`.
    fn floor(&self) -> Option<String> {
        let first = self.module()?.into_iter().next();
        Some(first.unwrap_or_else(|| "lib".to_string()))
    }

    fn fault(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// Takes the code out of the files that only tests see.
pub fn mark_test_files(files: &mut [File]) {
    let mut tests = Vec::new();
    for file in files.iter() {
        for name in &file.test_modules {
            tests.extend(
                file.module()
                    .map(|module| [module, vec![name.clone()]].concat()),
            );
        }
    }
    for file in files {
        let module = file.module().unwrap_or_default();
        if tests.iter().any(|test| module.starts_with(test)) {
            file.code.clear();
        }
    }
}

/// What is wrong with one file.
pub fn faults(file: &File) -> Vec<String> {
    let rules = [imports, predicates, essay, macros, unsafe_code, long_code];
    rules.iter().flat_map(|rule| rule(file)).collect()
}

/// The entries of our lists that excuse nothing.
pub fn idle_entries(files: &[File]) -> Vec<String> {
    let uses_unsafe = |path: &str| {
        files
            .iter()
            .any(|file| file.path == path && first_unsafe(file).is_some())
    };
    let idle_unsafe = UNSAFE.iter().filter(|(path, _)| !uses_unsafe(path));
    let long: Vec<_> = files.iter().flat_map(too_long).collect();
    let idle_long = LONG
        .iter()
        .filter(|(what, _)| !long.iter().any(|(name, ..)| name == what));
    let unsafe_faults = idle_unsafe.map(|(path, _)| format!("{path}: idle on the list UNSAFE"));
    unsafe_faults
        .chain(idle_long.map(|(what, _)| format!("{what}: idle on the list LONG")))
        .collect()
}

/// Who may import whom.
fn imports(file: &File) -> Vec<String> {
    let (Some(module), Some(floor)) = (file.module(), file.floor()) else {
        return Vec::new();
    };
    let Some((_, allowed)) = FLOORS
        .iter()
        .find(|(name, _)| *name == floor || floor == "lib")
    else {
        return vec![file.fault(1, &format!("there is no floor {floor}"))];
    };
    let mut faults = Vec::new();
    for path in paths(&file.code, &module) {
        let what = match path.root {
            Root::House if floor == "lib" => None,
            Root::House => foreign_floor(&floor, allowed, &path.names),
            Root::Other => foreign_crate(&floor, &path.names),
        };
        faults.extend(what.map(|what| file.fault(path.line, &what)));
    }
    faults
}

fn foreign_floor(floor: &str, allowed: &[&str], names: &[String]) -> Option<String> {
    let target = names.first().map_or("", String::as_str);
    if !FLOORS.iter().any(|(name, _)| *name == target) {
        return Some(format!(
            "{floor} imports lib.rs (crate::{})",
            names.join("::")
        ));
    }
    let is_within = |entry: &&str| {
        let rooms: Vec<_> = entry.split("::").map(str::to_string).collect();
        *entry == "*" || names.starts_with(&rooms)
    };
    let is_fine = target == floor || allowed.iter().any(is_within);
    (!is_fine).then(|| format!("{floor} may not import {}", names.join("::")))
}

fn foreign_crate(floor: &str, names: &[String]) -> Option<String> {
    let path = names.join("::");
    if path.starts_with("std::os") || path.starts_with("core::os") {
        let is_fine = KNOW_THE_OS.contains(&floor);
        return (!is_fine).then(|| format!("{floor} may not name {path}"));
    }
    let (name, floors) = OUTSIDE.iter().find(|(name, _)| *name == names[0])?;
    (!floors.contains(&floor)).then(|| format!("{floor} may not import the crate {name}"))
}

/// The dependencies that [`OUTSIDE`] does not know. In a packaged crate the manifest has a section
/// for each of them.
pub fn unknown_dependencies(manifest: &str) -> Vec<String> {
    let is_dependencies =
        |section: &str| section.ends_with("dependencies") && !section.ends_with("dev-dependencies");
    let mut names = Vec::new();
    let mut is_list = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            is_list = is_dependencies(section);
            if let Some((list, name)) = section.rsplit_once('.') {
                names.extend(is_dependencies(list).then_some(name));
            }
        } else if let (true, Some((name, _))) = (is_list, line.split_once('=')) {
            names.extend((!line.starts_with('#')).then(|| name.trim()));
        }
    }
    let names = names.into_iter().map(|name| name.replace('-', "_"));
    let unknown = names.filter(|name| !OUTSIDE.iter().any(|(known, _)| known == name));
    unknown
        .map(|name| format!("Cargo.toml: which floors may import {name}? Say it in OUTSIDE"))
        .collect()
}

/// The names of operating systems stand in `build.rs`. Test code is no exception.
fn predicates(file: &File) -> Vec<String> {
    if file.path == "build.rs" {
        return Vec::new();
    }
    let forbidden = ["target_os", "target_vendor", "target_env"];
    let named = file
        .all
        .iter()
        .filter(|token| forbidden.iter().any(|word| token.is(word)));
    named
        .map(|token| {
            let what = format!(
                "{} stands outside of build.rs; make a noun there",
                token.text
            );
            file.fault(token.lines.0, &what)
        })
        .collect()
}

/// Every file that implements `Poller` over a queue of the system begins with an essay on it.
fn essay(file: &File) -> Vec<String> {
    let implements =
        |window: &[Token]| window[0].is("impl") && window[1].is("Poller") && window[2].is("for");
    let path = file.path.as_str();
    let is_backend = path.starts_with("src/")
        && !NO_ESSAY.contains(&path)
        && file.code.windows(3).any(implements);
    if !is_backend && !ESSAY_OF_FOLDER.contains(&path) {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let headings: Vec<_> = file
        .head
        .iter()
        .filter(|line| line.starts_with("# "))
        .collect();
    if headings != ESSAY.iter().collect::<Vec<_>>() {
        faults.push(file.fault(
            1,
            &format!("the essay's headings are to be {ESSAY:?}, in order"),
        ));
    }
    let last = file.head.last().map_or("", String::as_str);
    let month = last.rsplit(' ').next().unwrap_or_default();
    let is_month = month.len() == 7
        && month.char_indices().all(|(at, c)| {
            if at == 4 {
                c == '-'
            } else {
                c.is_ascii_digit()
            }
        });
    if !last.starts_with(CHECKED) || !is_month {
        let what = format!("the essay's last line is to be \"{CHECKED}.., yyyy-mm\"");
        faults.push(file.fault(1, &what));
    }
    faults
}

/// Nothing that a reader or a tool must see hides in a macro.
fn macros(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    for (at, window) in file.all.windows(3).enumerate() {
        if !window[0].is_word() || !window[1].is("!") {
            continue;
        }
        let is_definition = window[0].is("macro_rules");
        let open = at + 2 + usize::from(is_definition);
        if !file
            .all
            .get(open)
            .is_some_and(|token| ["(", "[", "{"].iter().any(|b| token.is(b)))
        {
            continue;
        }
        for token in &file.all[open..closing(&file.all, open)] {
            if token.is("mod") || is_definition && token.is("unsafe") {
                let what = format!("{} inside the macro {}", token.text, window[0].text);
                faults.push(file.fault(token.lines.0, &what));
            }
        }
    }
    faults
}

fn first_unsafe(file: &File) -> Option<&Token> {
    let first = file.code.iter().find(|token| token.is("unsafe"));
    first.filter(|_| file.path.starts_with("src/"))
}

fn unsafe_code(file: &File) -> Vec<String> {
    let unlisted =
        first_unsafe(file).filter(|_| !UNSAFE.iter().any(|(path, _)| *path == file.path));
    let fault =
        unlisted.map(|token| file.fault(token.lines.0, "unsafe, but not on the list UNSAFE"));
    fault.into_iter().collect()
}

fn long_code(file: &File) -> Vec<String> {
    let unlisted = |what: &str| !LONG.iter().any(|(long, _)| *long == what);
    let too_long = too_long(file)
        .into_iter()
        .filter(|(what, ..)| unlisted(what));
    too_long
        .map(|(what, line, count)| file.fault(line, &format!("{what} has {count} lines of code")))
        .collect()
}

/// The file and those of its functions that are over budget, with where they begin and their lines
/// of code. Files under `tests` are test code as a whole.
fn too_long(file: &File) -> Vec<(String, usize, usize)> {
    if file.path.starts_with("tests/") {
        return Vec::new();
    }
    let whole = (file.path.clone(), 1, lines_of_code(&file.code));
    let functions = functions(&file.code).into_iter();
    let functions =
        functions.map(|(name, line, count)| (format!("{}: {name}", file.path), line, count));
    let long_file = Some(whole).filter(|(_, _, count)| *count > FILE_MAX);
    long_file
        .into_iter()
        .chain(functions.filter(|(_, _, count)| *count > FUNCTION_MAX))
        .collect()
}

/// How many lines have a token on them.
fn lines_of_code(code: &[Token]) -> usize {
    let mut lines: Vec<usize> = code
        .iter()
        .flat_map(|token| token.lines.0..=token.lines.1)
        .collect();
    lines.sort_unstable();
    lines.dedup();
    lines.len()
}

/// Each function that has a body: its name, where it begins, its lines of code.
fn functions(code: &[Token]) -> Vec<(String, usize, usize)> {
    let mut functions = Vec::new();
    for at in 0..code.len().saturating_sub(1) {
        if !code[at].is("fn") || !code[at + 1].is_word() {
            continue;
        }
        let mut depth = 0;
        let body = code[at..].iter().position(|token| {
            match token.text.as_str() {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                _ => {}
            }
            depth == 0 && (token.is("{") || token.is(";"))
        });
        if let Some(open) = body
            .map(|body| at + body)
            .filter(|open| code[*open].is("{"))
        {
            let count = lines_of_code(&code[at..=closing(code, open)]);
            functions.push((code[at + 1].text.clone(), code[at].lines.0, count));
        }
    }
    functions
}
