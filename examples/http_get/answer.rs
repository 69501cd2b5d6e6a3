//! Reading an answer, without any input or output: bytes go in as they come, in pieces of any size,
//! and an [`Answer`] comes out. The grammar of the head and of chunks is httparse's; what ends a
//! body is told in [RFC 9112, section 6](https://www.rfc-editor.org/rfc/rfc9112#section-6).

use std::fmt;
use std::mem;

/// What a server said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// As in `200`.
    pub status: u16,
    /// As in `OK`. It may be empty.
    pub reason: String,
    /// Without the marks of the chunks, if it came in chunks.
    pub body: Vec<u8>,
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not HTTP, or not HTTP that we understand.
    Malformed(String),
    /// It ended too early.
    CutOff(String),
    /// There is too much of it.
    TooLarge(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Malformed(what) => write!(f, "the answer is malformed: {what}"),
            Fault::CutOff(where_) => write!(f, "the answer was cut off {where_}"),
            Fault::TooLarge(what) => write!(f, "the answer is too large: {what}"),
        }
    }
}

/// The longest head, or line in front of a chunk, that we keep in memory to make sense of.
const MAX_HEAD: usize = 64 * 1024;

/// As many header lines as the head may have.
const MAX_HEADERS: usize = 256;

/// The largest body that we keep in memory.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// An answer that is still coming.
#[derive(Debug, Default)]
pub struct AnswerReader {
    /// What has come and makes no sense without what follows.
    unread: Vec<u8>,
    stage: Stage,
    answer: Answer,
}

/// What the next byte is a part of.
#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Head,
    /// A body whose length the head has told.
    Sized {
        missing: usize,
    },
    /// A body that is over when the connection is.
    UntilClosed,
    /// The line in front of a chunk.
    ChunkSize,
    Chunk {
        missing: usize,
    },
    /// The end of the line behind a chunk.
    ChunkEnd,
    /// Header lines behind the last chunk, which we do not need.
    Trailer,
    Complete,
}

impl AnswerReader {
    /// Takes the next bytes. Those behind the end of the answer are ignored.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut unread = mem::take(&mut self.unread);
        unread.extend_from_slice(bytes);
        let mut rest = unread.as_slice();
        while let Some(used) = self.step(rest)? {
            rest = &rest[used..];
        }
        self.unread = rest.to_vec();
        Ok(())
    }

    /// Takes note that the server has closed its side: no more will come.
    pub fn close(&mut self) -> Result<(), Fault> {
        let body_len = self.answer.body.len();
        let place = match &self.stage {
            Stage::Complete => return Ok(()),
            Stage::UntilClosed => {
                self.stage = Stage::Complete;
                return Ok(());
            }
            Stage::Head if self.unread.is_empty() => "before it began".to_owned(),
            Stage::Head => format!("in its head, after {} bytes", self.unread.len()),
            Stage::Sized { missing } => format!(
                "in its body, after {body_len} of {} bytes",
                body_len + missing
            ),
            Stage::ChunkSize | Stage::Chunk { .. } | Stage::ChunkEnd | Stage::Trailer => {
                format!("among its chunks, after {body_len} bytes of the body")
            }
        };
        Err(Fault::CutOff(place))
    }

    /// True when nothing is missing any more.
    pub fn is_complete(&self) -> bool {
        self.stage == Stage::Complete
    }

    /// What has come so far.
    pub fn into_answer(self) -> Answer {
        self.answer
    }

    /// Makes sense of the beginning of `rest`, and says how much that was. `None` if more has to
    /// come first.
    fn step(&mut self, rest: &[u8]) -> Result<Option<usize>, Fault> {
        match self.stage {
            Stage::Head => self.read_head(rest),
            Stage::Sized { missing } => {
                let used = self.read_body(rest, missing)?;
                if used == Some(missing) {
                    self.stage = Stage::Complete;
                } else if let Some(used) = used {
                    self.stage = Stage::Sized {
                        missing: missing - used,
                    };
                }
                Ok(used)
            }
            Stage::UntilClosed => self.read_body(rest, rest.len()),
            Stage::ChunkSize => self.read_chunk_size(rest),
            Stage::Chunk { missing } => {
                let used = self.read_body(rest, missing)?;
                if used == Some(missing) {
                    self.stage = Stage::ChunkEnd;
                } else if let Some(used) = used {
                    self.stage = Stage::Chunk {
                        missing: missing - used,
                    };
                }
                Ok(used)
            }
            Stage::ChunkEnd if rest.len() < 2 => Ok(None),
            Stage::ChunkEnd if rest.starts_with(b"\r\n") => {
                self.stage = Stage::ChunkSize;
                Ok(Some(2))
            }
            Stage::ChunkEnd => malformed("a chunk is longer than it said"),
            Stage::Trailer => self.read_trailer(rest),
            Stage::Complete => Ok(None),
        }
    }

    fn read_head(&mut self, rest: &[u8]) -> Result<Option<usize>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let used = match head.parse(rest) {
            Ok(httparse::Status::Complete(used)) if used <= MAX_HEAD => used,
            Ok(httparse::Status::Partial) if rest.len() <= MAX_HEAD => return Ok(None),
            Ok(_) => return Err(Fault::TooLarge("its head has more than 64 KiB")),
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Fault::TooLarge("its head has more than 256 lines"));
            }
            Err(error) => return malformed(error.to_string()),
        };
        let status = head.code.unwrap_or_default();
        match status {
            101 => return malformed("it switches to a protocol that nobody asked for"),
            // "Go on", "wait": the real one follows.
            100..200 => return Ok(Some(used)),
            200.. => {}
            _ => return malformed(format!("there is no status {status:03}")),
        }
        self.stage = body_stage(status, head.headers)?;
        self.answer.status = status;
        self.answer.reason = head.reason.unwrap_or_default().to_owned();
        Ok(Some(used))
    }

    /// Moves up to `missing` bytes to the body.
    fn read_body(&mut self, rest: &[u8], missing: usize) -> Result<Option<usize>, Fault> {
        let used = rest.len().min(missing);
        if used == 0 {
            return Ok(None);
        }
        if self.answer.body.len() + used > MAX_BODY {
            return too_large_body();
        }
        self.answer.body.extend_from_slice(&rest[..used]);
        Ok(Some(used))
    }

    fn read_chunk_size(&mut self, rest: &[u8]) -> Result<Option<usize>, Fault> {
        match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete((used, 0))) => {
                self.stage = Stage::Trailer;
                Ok(Some(used))
            }
            Ok(httparse::Status::Complete((used, size))) => {
                let missing = body_len(size)?;
                self.stage = Stage::Chunk { missing };
                Ok(Some(used))
            }
            Ok(httparse::Status::Partial) if rest.len() <= MAX_HEAD => Ok(None),
            Ok(httparse::Status::Partial) => malformed("the line before a chunk does not end"),
            Err(_) => malformed("the line before a chunk does not tell its size"),
        }
    }

    fn read_trailer(&mut self, rest: &[u8]) -> Result<Option<usize>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        match httparse::parse_headers(rest, &mut headers) {
            Ok(httparse::Status::Complete((used, _))) => {
                self.stage = Stage::Complete;
                Ok(Some(used))
            }
            Ok(httparse::Status::Partial) if rest.len() <= MAX_HEAD => Ok(None),
            Ok(httparse::Status::Partial) => {
                Err(Fault::TooLarge("its trailer has more than 64 KiB"))
            }
            Err(error) => malformed(error.to_string()),
        }
    }
}

fn malformed<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Malformed(what.into()))
}

fn too_large_body<T>() -> Result<T, Fault> {
    Err(Fault::TooLarge("its body has more than 64 MiB"))
}

fn body_len(size: u64) -> Result<usize, Fault> {
    match usize::try_from(size) {
        Ok(size) if size <= MAX_BODY => Ok(size),
        _ => too_large_body(),
    }
}

/// How the body ends.
fn body_stage(status: u16, headers: &[httparse::Header<'_>]) -> Result<Stage, Fault> {
    if matches!(status, 204 | 304) {
        return Ok(Stage::Complete);
    }
    let values = |name: &'static str| {
        headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .flat_map(|header| header.value.split(|byte| *byte == b','))
            .map(<[u8]>::trim_ascii)
    };
    // Chunks have precedence over a length.
    let mut codings = values("transfer-encoding").filter(|coding| !coding.is_empty());
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => {
            return Ok(Stage::ChunkSize);
        }
        _ => {
            return malformed(
                "it has a transfer coding other than `chunked`, which nobody asked for",
            );
        }
    }
    let mut length = None;
    for value in values("content-length") {
        let is_digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(value)
            .ok()
            .and_then(|value| value.parse().ok());
        let number: u64 = match number {
            Some(number) if is_digits => number,
            _ => {
                let value = String::from_utf8_lossy(value);
                return malformed(format!("`{value}` is not a length"));
            }
        };
        if length.is_some_and(|length| length != number) {
            return malformed("it has two lengths");
        }
        length = Some(number);
    }
    Ok(match length {
        None => Stage::UntilClosed,
        Some(0) => Stage::Complete,
        Some(length) => Stage::Sized {
            missing: body_len(length)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of bytes that come in two pieces, cut at each place, and byte by byte. `None` if
    /// more has to come.
    fn read(bytes: &[u8], is_closed: bool) -> Result<Option<Answer>, Fault> {
        let read_pieces = |pieces: &mut dyn Iterator<Item = &[u8]>| {
            let mut reader = AnswerReader::default();
            for piece in pieces {
                reader.feed(piece)?;
            }
            if is_closed {
                reader.close()?;
            }
            Ok(reader.is_complete().then(|| reader.into_answer()))
        };
        let whole = read_pieces(&mut std::iter::once(bytes));
        for place in 0..bytes.len().min(400) {
            let (front, back) = bytes.split_at(place);
            assert_eq!(read_pieces(&mut [front, back].into_iter()), whole);
        }
        if bytes.len() < 400 {
            assert_eq!(read_pieces(&mut bytes.chunks(1)), whole);
        }
        whole
    }

    fn complete(bytes: &str, is_closed: bool) -> (u16, String, String) {
        let answer = read(bytes.as_bytes(), is_closed).unwrap().unwrap();
        let body = String::from_utf8(answer.body).unwrap();
        (answer.status, answer.reason, body)
    }

    fn fault(bytes: &str) -> String {
        read(bytes.as_bytes(), true).unwrap_err().to_string()
    }

    #[test]
    fn three_ways_to_end_a_body() {
        for (text, is_closed, body) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                false,
                "hello",
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5, 5\r\n\r\nhello, surplus",
                false,
                "hello",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, ""),
            ("HTTP/1.0 200 OK\r\n\r\nhello", true, "hello"),
            ("HTTP/1.0 200 OK\r\n\r\n", true, ""),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 1\r\n\r\n\
                 4\r\nhell\r\n1;why=not\r\no\r\n0\r\nX-Sum: 7\r\n\r\n",
                false,
                "hello",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                false,
                "",
            ),
        ] {
            let expected = (200, "OK".to_owned(), body.to_owned());
            assert_eq!(complete(text, is_closed), expected, "{text}");
        }
    }

    #[test]
    fn heads_that_are_special() {
        let (status, reason, body) = complete("HTTP/1.1 204 No Content\r\n\r\n", false);
        assert_eq!(
            (status, reason.as_str(), body.as_str()),
            (204, "No Content", "")
        );
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n\
                    HTTP/1.1 404 \r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(complete(text, false), (404, String::new(), "no".to_owned()));
        let unfinished = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell";
        assert_eq!(read(unfinished, false), Ok(None));
    }

    #[test]
    fn cut_off_answers_say_where() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n";
        for (text, place) in [
            ("".to_owned(), "cut off before it began"),
            (
                "HTTP/1.1 200 OK\r\nCont".to_owned(),
                "cut off in its head, after 21 bytes",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello".to_owned(),
                "cut off in its body, after 5 of 9 bytes",
            ),
            (
                format!("{chunked}hel"),
                "cut off among its chunks, after 3 bytes",
            ),
            (format!("{chunked}hell\r"), "after 4 bytes"),
            (format!("{chunked}hell\r\n"), "after 4 bytes"),
            (format!("{chunked}hell\r\n0\r\n"), "after 4 bytes"),
        ] {
            assert!(fault(&text).contains(place), "{text:?}: {}", fault(&text));
        }
    }

    #[test]
    fn malformed_answers_say_why() {
        let with = |line: &str| format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
        let chunked = with("Transfer-Encoding: chunked");
        for (text, why) in [
            ("SSH-2.0-OpenSSH_9.2\r\n".to_owned(), "invalid HTTP version"),
            ("HTTP/1.1 abc\r\n\r\n".to_owned(), "invalid response status"),
            ("HTTP/1.1 099 Odd\r\n\r\n".to_owned(), "no status 099"),
            (
                "HTTP/1.1 101 Switching\r\n\r\n".to_owned(),
                "nobody asked for",
            ),
            (with("no colon"), "invalid header name"),
            (with("Content-Length: many"), "`many` is not a length"),
            (with("Content-Length: +5"), "`+5` is not a length"),
            (with("Content-Length: "), "`` is not a length"),
            (
                with("Content-Length: 99999999999999999999"),
                "is not a length",
            ),
            (
                with("Content-Length: 5\r\nContent-Length: 6"),
                "two lengths",
            ),
            (with("Transfer-Encoding: gzip, chunked"), "transfer coding"),
            (format!("{chunked}x\r\n"), "does not tell its size"),
            (format!("{chunked}4\r\nhello\r\n"), "longer than it said"),
        ] {
            let fault = fault(&text);
            assert!(fault.contains(why), "{text:?}: {fault}");
            assert!(fault.starts_with("the answer is malformed: "), "{fault}");
        }
    }

    #[test]
    fn everything_has_a_bound() {
        let with = |line: &str| format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n");
        let long = format!("X: {}", "x".repeat(60_000));
        assert!(
            read(
                with(&format!("{long}\r\nContent-Length: 0")).as_bytes(),
                false
            )
            .is_ok()
        );
        let too_long = "x".repeat(MAX_HEAD);
        assert!(fault(&with(&format!("X: {too_long}"))).contains("64 KiB"));
        assert!(fault(&format!("HTTP/1.1 200 OK\r\nX: {too_long}")).contains("64 KiB"));
        assert!(fault(&with(&vec!["X: y"; 257].join("\r\n"))).contains("256 lines"));
        assert!(fault(&with("Content-Length: 67108865")).contains("64 MiB"));
        let chunked = with("Transfer-Encoding: chunked");
        assert!(fault(&format!("{chunked}ffffffffffff\r\n")).contains("64 MiB"));
        assert!(fault(&format!("{chunked}1;{too_long}")).contains("does not end"));
        let mut reader = AnswerReader::default();
        reader.feed(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
        reader.feed(&vec![0; MAX_BODY]).unwrap();
        assert!(reader.feed(&[0]).is_err());
    }
}
