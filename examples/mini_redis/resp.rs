//! [RESP2](https://redis.io/docs/latest/develop/reference/protocol-spec/), as far as a server needs
//! it. No input and no output: bytes come in by [`Requests::feed`], and go out in a `Vec`.
//!
//! A request is an array of bulk strings, or *inline*: words in a line, for those who type.
//!
//! ```text
//! *2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n          ECHO hello\r\n
//! ```

use std::fmt::{self, Display};
use std::io::Write as _;
use std::mem;

/// A command and its arguments.
pub type Request = Vec<Vec<u8>>;

/// The most bytes of one request. What a client sends is kept until it is whole, so there is a limit,
/// and it is small enough for a thousand clients who try.
pub const REQUEST_MAX: usize = 16 * 1024 * 1024;

/// The most arguments of a request, and the longest line of one: Redis' own limits.
const ARGUMENTS_MAX: usize = 1024 * 1024;
const LINE_MAX: usize = 64 * 1024;

/// What an argument counts besides its bytes: more than the `Vec` that holds it, on any machine.
pub const ARGUMENT_LEN: usize = 32;

/// Makes requests of bytes that come in pieces. Each byte is looked at once, however small the
/// pieces are.
#[derive(Default)]
pub struct Requests {
    bytes: Vec<u8>,
    /// How many of them are done with.
    done: usize,
    /// Where the search for the end of a line goes on.
    searched: usize,
    /// The request that is being read.
    request: Request,
    /// How many arguments it lacks.
    missing: usize,
    /// How long the next argument is, if that has been said.
    len: Option<usize>,
    /// How many bytes it has up to now.
    size: usize,
}

/// What a client has sent is no request, and where the next one begins nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    ArrayLen,
    BulkLen,
    NoBulk(u8),
    NoEnd,
    LongLine,
    TooBig,
}

impl Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::ArrayLen => f.write_str("invalid multibulk length"),
            Malformed::BulkLen => f.write_str("invalid bulk length"),
            Malformed::NoBulk(byte) => {
                write!(f, "expected '$', got '{}'", byte.escape_ascii())
            }
            Malformed::NoEnd => f.write_str("expected the end of a line behind a bulk string"),
            Malformed::LongLine => f.write_str("too big inline request"),
            Malformed::TooBig => f.write_str("too big request"),
        }
    }
}

impl Requests {
    /// Takes in a piece of what the client sends.
    pub fn feed(&mut self, piece: &[u8]) {
        // What is done with makes room. At most a request's rest is moved, and a request asks for
        // the next piece only if it lacks bytes.
        self.bytes.drain(..mem::take(&mut self.done));
        self.bytes.extend_from_slice(piece);
    }

    /// The next request, if all of it is there. After an error nothing makes sense any more.
    pub fn next(&mut self) -> Result<Option<Request>, Malformed> {
        loop {
            if self.missing == 0 {
                match self.begin()? {
                    Some(request) if request.is_empty() => continue,
                    Some(request) => return Ok(Some(request)),
                    None if self.missing == 0 => return Ok(None),
                    None => {}
                }
            }
            let Some(argument) = self.argument()? else {
                return Ok(None);
            };
            self.request.push(argument);
            self.missing -= 1;
            if self.missing == 0 {
                self.size = 0;
                return Ok(Some(mem::take(&mut self.request)));
            }
        }
    }

    /// Reads the first line of a request, which is all of it if it is inline. Otherwise it is known
    /// then what is missing.
    fn begin(&mut self) -> Result<Option<Request>, Malformed> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let Some(number) = line.strip_prefix(b"*") else {
            let words = line.split(u8::is_ascii_whitespace);
            let words = words.filter(|word| !word.is_empty());
            return Ok(Some(words.map(<[u8]>::to_vec).collect()));
        };
        match parse(number) {
            // An empty request is none, and so is a negative one.
            Some(len) if len <= 0 => Ok(Some(Request::new())),
            Some(len) if len <= ARGUMENTS_MAX as i64 => {
                self.missing = len as usize;
                Ok(None)
            }
            _ => Err(Malformed::ArrayLen),
        }
    }

    fn argument(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let len = match self.len {
            Some(len) => len,
            None => {
                let Some(line) = self.line()? else {
                    return Ok(None);
                };
                let len = match line.split_first() {
                    Some((b'$', number)) => parse(number),
                    Some((other, _)) => return Err(Malformed::NoBulk(*other)),
                    None => return Err(Malformed::NoBulk(b'\r')),
                };
                let len = len.and_then(|len| u64::try_from(len).ok());
                let len = len.ok_or(Malformed::BulkLen)?;
                // What is more than there can be is too big for sure.
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                // Also of their number: an empty one takes memory too.
                let len_in_all = len.saturating_add(ARGUMENT_LEN);
                self.size = self.size.saturating_add(len_in_all);
                if self.size > REQUEST_MAX {
                    return Err(Malformed::TooBig);
                }
                self.len = Some(len);
                len
            }
        };
        let rest = &self.bytes[self.done..];
        let Some(argument) = rest.get(..len + 2) else {
            return Ok(None);
        };
        let Some(argument) = argument.strip_suffix(b"\r\n") else {
            return Err(Malformed::NoEnd);
        };
        let argument = argument.to_vec();
        self.done += len + 2;
        self.searched = 0;
        self.len = None;
        Ok(Some(argument))
    }

    /// A line without its end, if all of it is there.
    fn line(&mut self) -> Result<Option<Vec<u8>>, Malformed> {
        let rest = &self.bytes[self.done..];
        let Some(newline) = rest[self.searched..].iter().position(|byte| *byte == b'\n') else {
            self.searched = rest.len();
            let is_long = rest.len() > LINE_MAX;
            return if is_long {
                Err(Malformed::LongLine)
            } else {
                Ok(None)
            };
        };
        let end = self.searched + newline;
        if end > LINE_MAX {
            return Err(Malformed::LongLine);
        }
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        let line = line.to_vec();
        self.done += end + 1;
        self.searched = 0;
        Ok(Some(line))
    }
}

/// A number as the protocol and INCR write it: no sign but a minus, no space.
pub fn parse(text: &[u8]) -> Option<i64> {
    if text.starts_with(b"+") {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// What is said to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Simple(&'static str),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    /// There is no such thing.
    Nil,
}

impl Reply {
    /// Appends it to what goes out.
    pub fn write(&self, out: &mut Vec<u8>) {
        let written = match self {
            Reply::Simple(text) => write!(out, "+{text}\r\n"),
            // The end of the line is that of the error, whatever a client has made us quote.
            Reply::Error(text) => write!(out, "-{}\r\n", text.replace(['\r', '\n'], " ")),
            Reply::Integer(number) => write!(out, ":{number}\r\n"),
            Reply::Bulk(bytes) => write!(out, "${}\r\n", bytes.len()).and_then(|()| {
                out.extend_from_slice(bytes);
                out.write_all(b"\r\n")
            }),
            Reply::Nil => out.write_all(b"$-1\r\n"),
        };
        written.expect("a Vec takes everything");
    }
}
