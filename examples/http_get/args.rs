//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

/// What `--help` prints.
pub const HELP: &str = "\
Fetches many URLs at once, on one thread, by a future written by hand on ekio's reactor.

Usage: http_get [--timeout MS]
       http_get [--timeout MS] [--count N] [--delay MS]
       http_get [--timeout MS] URL...

Without a URL it starts a small server of its own, in the same process and on the same thread,
which answers `GET /<milliseconds>/<text>` with the text, after that time. It is asked for five
texts of different delays; with --count or --delay, for N texts of one delay.

A URL looks like http://host[:port]/path; the host may be an IPv6 address in brackets.

Options:
  --count N     ask the server inside N times at once (5 if only --delay is given)
  --delay MS    and for this delay, in milliseconds (1000 if only --count is given)
  --timeout MS  give up on an answer after so many milliseconds (the default is to wait)
  -h, --help    print this

Each answer is printed when it comes. The last line sums up; the delays in it are those that the
server inside was asked for, and for your URLs the times that the answers took.

Exit status: 0 if all were answered (with whatever status), 1 if there were errors, 2 if the
command line was not understood.
";

/// What the user wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// To read [`HELP`].
    Help,
    /// To fetch.
    Get(Plan),
}

/// What to fetch.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// From whom.
    pub target: Target,
    /// How long an answer may take.
    pub timeout: Option<Duration>,
}

/// Who is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum Target {
    /// The server inside, five times, for different delays.
    Five,
    /// The server inside, so many times, for the same delay.
    Many {
        /// How many times.
        count: usize,
        /// How many milliseconds.
        delay: u64,
    },
    /// Whoever these URLs name. They are not checked yet.
    Urls(Vec<String>),
}

/// From one address to another there are as many connections as there are ports, and systems keep
/// about half of them for this.
const MAX_COUNT: u64 = 25_000;

/// A day. Longer is a typing error.
const MAX_MILLIS: u64 = 24 * 60 * 60 * 1_000;

/// The command line was not understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Misuse(String);

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Command {
    /// Reads the arguments that follow the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Misuse> {
        let mut arguments = arguments.into_iter();
        let (mut count, mut delay, mut timeout) = (None, None, None);
        let mut urls = Vec::new();
        let mut options_are_over = false;
        while let Some(argument) = arguments.next() {
            let argument = argument.into_string().map_err(|argument| {
                Misuse(format!(
                    "{} is not valid Unicode",
                    argument.to_string_lossy()
                ))
            })?;
            if options_are_over || !argument.starts_with('-') || argument == "-" {
                urls.push(argument);
                continue;
            }
            let (name, attached) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            let mut number =
                |min, max| take_number(name, attached.clone(), &mut arguments, min..=max);
            match (name, &attached) {
                ("--help" | "-h", None) => return Ok(Command::Help),
                ("--", None) => options_are_over = true,
                ("--count", _) => count = Some(number(1, MAX_COUNT)?),
                ("--delay", _) => delay = Some(number(0, MAX_MILLIS)?),
                ("--timeout", _) => timeout = Some(number(1, MAX_MILLIS)?),
                _ => return Err(Misuse(format!("there is no option {argument}"))),
            }
        }
        let is_many = count.is_some() || delay.is_some();
        if is_many && !urls.is_empty() {
            return Err(Misuse(
                "--count and --delay are for the server inside, which is not asked if you name URLs"
                    .to_owned(),
            ));
        }
        let target = match urls.is_empty() {
            false => Target::Urls(urls),
            true if is_many => Target::Many {
                count: count.unwrap_or(5) as usize,
                delay: delay.unwrap_or(1_000),
            },
            true => Target::Five,
        };
        let timeout = timeout.map(Duration::from_millis);
        Ok(Command::Get(Plan { target, timeout }))
    }
}

/// The value of an option, attached by `=` or in the next argument.
fn take_number(
    name: &str,
    attached: Option<String>,
    arguments: &mut impl Iterator<Item = OsString>,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, Misuse> {
    let value = match attached {
        Some(value) => value,
        None => match arguments.next() {
            Some(value) => value.to_string_lossy().into_owned(),
            None => return Err(Misuse(format!("{name} needs a number behind it"))),
        },
    };
    let is_digits = value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse() {
        Ok(number) if is_digits && range.contains(&number) => Ok(number),
        _ => Err(Misuse(format!(
            "{name} needs a whole number from {} to {}, not `{value}`",
            range.start(),
            range.end()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, Misuse> {
        Command::parse(line.split_whitespace().map(OsString::from))
    }

    fn plan(line: &str) -> (Target, Option<u64>) {
        match parse(line) {
            Ok(Command::Get(plan)) => {
                let millis = plan.timeout.map(|timeout| timeout.as_millis() as u64);
                (plan.target, millis)
            }
            other => panic!("{line:?} gave {other:?}"),
        }
    }

    #[test]
    fn good_lines() {
        let many = |count, delay| Target::Many { count, delay };
        let urls = |list: &[&str]| Target::Urls(list.iter().map(|&url| url.to_owned()).collect());
        assert_eq!(plan(""), (Target::Five, None));
        assert_eq!(plan("--timeout 50"), (Target::Five, Some(50)));
        assert_eq!(plan("--count 7 --delay 20"), (many(7, 20), None));
        assert_eq!(plan("--delay=0 --count=25000"), (many(25_000, 0), None));
        assert_eq!(plan("--count 7"), (many(7, 1_000), None));
        assert_eq!(plan("--delay 20"), (many(5, 20), None));
        assert_eq!(plan("a --timeout 1 b"), (urls(&["a", "b"]), Some(1)));
        assert_eq!(plan("-- --count -"), (urls(&["--count", "-"]), None));
        assert_eq!(parse("--help"), Ok(Command::Help));
        assert_eq!(parse("--count 3 -h"), Ok(Command::Help));
    }

    #[test]
    fn misuse_is_explained() {
        for (line, hint) in [
            ("--counts 3", "there is no option --counts"),
            ("-c", "there is no option -c"),
            ("--help=no", "there is no option --help=no"),
            ("--count", "--count needs a number behind it"),
            ("--count 0", "from 1 to 25000, not `0`"),
            ("--count 25001", "from 1 to 25000, not `25001`"),
            ("--count -3", "not `-3`"),
            ("--count +3", "not `+3`"),
            ("--count=", "not ``"),
            ("--delay 1.5", "--delay needs a whole number"),
            ("--delay 99999999999999999999999", "--delay needs a whole"),
            ("--timeout 0", "--timeout needs a whole number from 1"),
            ("--timeout 1s", "not `1s`"),
            ("--count 3 http://localhost/", "if you name URLs"),
        ] {
            let why = parse(line).unwrap_err().to_string();
            assert!(why.contains(hint), "{line:?}: {why}");
        }
    }
}
