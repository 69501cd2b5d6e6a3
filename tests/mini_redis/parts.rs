//! Requests, commands and the store, without a socket and with a clock that stands still.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::commands::answer;
use super::resp::{ARGUMENT_LEN, Malformed, REQUEST_MAX, Reply, Request, Requests};
use super::store::Store;

fn request(words: &[&str]) -> Request {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn encode(request: &Request) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
    for argument in request {
        Reply::Bulk(argument.clone()).write(&mut bytes);
    }
    bytes
}

/// Everything that can be read from these pieces.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Request>, Malformed> {
    let (mut requests, mut all) = (Requests::default(), Vec::new());
    for piece in pieces {
        requests.feed(piece);
        while let Some(request) = requests.next()? {
            all.push(request);
        }
    }
    Ok(all)
}

#[test]
fn inline_requests_and_empty_ones() {
    let bytes = b"\r\n PING \r\n*0\r\nset  a b\n*-1\r\n*1\r\n$0\r\n\r\n";
    let expected = [
        request(&["PING"]),
        request(&["set", "a", "b"]),
        request(&[""]),
    ];
    assert_eq!(read([&bytes[..]]).unwrap(), expected);
}

#[test]
fn what_is_no_request_is_told() {
    let long = vec![b'x'; 100_000];
    let cases: &[(&[u8], Malformed)] = &[
        (b"*x\r\n", Malformed::ArrayLen),
        (b"*\r\n", Malformed::ArrayLen),
        (b"*+1\r\n", Malformed::ArrayLen),
        (b"*1048577\r\n", Malformed::ArrayLen),
        (b"*99999999999999999999\r\n", Malformed::ArrayLen),
        (b"*1\r\n:1\r\n", Malformed::NoBulk(b':')),
        (b"*1\r\n\r\n", Malformed::NoBulk(b'\r')),
        // An array in an array, and so on: no recursion, so no stack to overflow.
        (b"*1\r\n*1\r\n*1\r\n", Malformed::NoBulk(b'*')),
        (b"*1\r\n$-1\r\n", Malformed::BulkLen),
        (b"*1\r\n$1 \r\n", Malformed::BulkLen),
        (b"*1\r\n$18446744073709551615\r\n", Malformed::BulkLen),
        (b"*1\r\n$9223372036854775807\r\n", Malformed::TooBig),
        (b"*1\r\n$2\r\nabcd", Malformed::NoEnd),
        (&long, Malformed::LongLine),
    ];
    for (bytes, expected) in cases {
        let shown = bytes[..bytes.len().min(40)].escape_ascii();
        assert_eq!(read([*bytes]), Err(*expected), "{shown}");
        assert_eq!(
            read(bytes.chunks(1)),
            Err(*expected),
            "{shown}, byte by byte"
        );
    }
    // Nothing is reserved for what has only been announced.
    let mut many = b"*1048576\r\n".to_vec();
    assert_eq!(read([&many[..]]), Ok(Vec::new()));
    for _ in 0..REQUEST_MAX / ARGUMENT_LEN {
        many.extend_from_slice(b"$0\r\n\r\n");
    }
    many.extend_from_slice(b"$0\r\n\r\n");
    assert_eq!(read([&many[..]]), Err(Malformed::TooBig));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_are_the_same_in_whatever_pieces(
        sent in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5), 0..8),
        cuts in prop::collection::vec(1_usize..40, 1..50),
    ) {
        let bytes: Vec<u8> = sent.iter().flat_map(encode).collect();
        let (mut rest, mut pieces) = (&bytes[..], Vec::new());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, more) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        prop_assert_eq!(read(pieces).unwrap(), sent);
    }

    #[test]
    fn nothing_that_is_sent_panics(bytes in prop::collection::vec(
        prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'-'), any::<u8>()],
        0..60,
    )) {
        let whole = read([&bytes[..]]);
        prop_assert_eq!(whole, read(bytes.chunks(1)));
    }
}

#[test]
fn replies_are_of_one_line() {
    let mut out = Vec::new();
    Reply::Error("ERR a\r\nb".to_owned()).write(&mut out);
    Reply::Nil.write(&mut out);
    Reply::Integer(-3).write(&mut out);
    Reply::Simple("OK").write(&mut out);
    Reply::Bulk(b"\r\n".to_vec()).write(&mut out);
    assert_eq!(out, b"-ERR a  b\r\n$-1\r\n:-3\r\n+OK\r\n$2\r\n\r\n\r\n");
}

struct Client {
    store: Store,
    now: Instant,
}

impl Client {
    fn new() -> Client {
        Client {
            store: Store::default(),
            now: Instant::now(),
        }
    }

    fn ask(&mut self, words: &[&str]) -> Reply {
        answer(&mut self.store, &request(words), self.now)
    }

    fn later(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn error(&mut self, words: &[&str]) -> String {
        match self.ask(words) {
            Reply::Error(text) => text,
            reply => panic!("{words:?} is answered {reply:?}"),
        }
    }
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(text.as_bytes().to_vec())
}

const OK: Reply = Reply::Simple("OK");

#[test]
fn keys_and_values() {
    let mut client = Client::new();
    assert_eq!(client.ask(&["Ping"]), Reply::Simple("PONG"));
    assert_eq!(client.ask(&["PING", "x"]), bulk("x"));
    assert_eq!(client.ask(&["echo", "\r\n"]), bulk("\r\n"));
    assert_eq!(client.ask(&["GET", "a"]), Reply::Nil);
    assert_eq!(client.ask(&["SET", "a", "1"]), OK);
    assert_eq!(client.ask(&["GET", "a"]), bulk("1"));
    assert_eq!(client.ask(&["INCR", "a"]), Reply::Integer(2));
    assert_eq!(client.ask(&["INCR", "b"]), Reply::Integer(1));
    assert_eq!(client.ask(&["DEL", "a", "b", "c", "a"]), Reply::Integer(2));
    assert_eq!(client.ask(&["GET", "a"]), Reply::Nil);
    assert_eq!(client.store.len(), (0, 0));
}

#[test]
fn what_expires() {
    let mut client = Client::new();
    assert_eq!(client.ask(&["TTL", "a"]), Reply::Integer(-2));
    client.ask(&["SET", "a", "1"]);
    assert_eq!(client.ask(&["TTL", "a"]), Reply::Integer(-1));
    assert_eq!(client.ask(&["EXPIRE", "a", "10"]), Reply::Integer(1));
    assert_eq!(client.ask(&["TTL", "a"]), Reply::Integer(10));
    client.later(9_600);
    // It keeps its deadline with a new number, and loses it with a new value.
    assert_eq!(client.ask(&["INCR", "a"]), Reply::Integer(2));
    assert_eq!(client.ask(&["TTL", "a"]), Reply::Integer(0));
    client.later(400);
    assert_eq!(client.ask(&["GET", "a"]), Reply::Nil);
    client.ask(&["SET", "a", "1", "EX", "5"]);
    client.ask(&["SET", "a", "2"]);
    assert_eq!(client.ask(&["TTL", "a"]), Reply::Integer(-1));
    assert_eq!(client.store.len(), (1, 0));

    client.ask(&["set", "a", "1", "px", "1500"]);
    assert_eq!(client.ask(&["TTL", "a"]), Reply::Integer(2));
    client.ask(&["EXPIRE", "a", "1"]);
    assert_eq!(client.store.len(), (1, 1));
    client.later(999);
    assert_eq!(client.ask(&["GET", "a"]), bulk("1"));
    client.later(1);
    assert_eq!(client.ask(&["EXPIRE", "a", "1"]), Reply::Integer(0));
    assert_eq!(client.ask(&["DEL", "a"]), Reply::Integer(0));

    client.ask(&["SET", "a", "1"]);
    assert_eq!(client.ask(&["EXPIRE", "a", "-1"]), Reply::Integer(1));
    assert_eq!(client.ask(&["GET", "a"]), Reply::Nil);
    assert_eq!(client.ask(&["EXPIRE", "a", "0"]), Reply::Integer(0));

    // What nobody asks for any more goes too.
    for (key, ms) in [("a", "1"), ("b", "2"), ("c", "3")] {
        client.ask(&["SET", key, "x", "PX", ms]);
    }
    client.later(2);
    client.store.sweep(client.now);
    assert_eq!(client.store.len(), (1, 1));
}

#[test]
fn errors_are_those_of_redis() {
    let mut client = Client::new();
    client.ask(&["SET", "text", "x"]);
    client.ask(&["SET", "max", "9223372036854775807"]);
    let cases: &[(&[&str], &str)] = &[
        (&["GET"], "ERR wrong number of arguments for 'get' command"),
        (
            &["SET", "a"],
            "ERR wrong number of arguments for 'set' command",
        ),
        (&["NO\nSUCH", "a"], "ERR unknown command 'NO\\nSUCH'"),
        (&["SET", "a", "b", "EX"], "ERR syntax error"),
        (&["SET", "a", "b", "XX", "1"], "ERR syntax error"),
        (
            &["SET", "a", "b", "EX", "x"],
            "ERR value is not an integer or out of range",
        ),
        (
            &["SET", "a", "b", "EX", "0"],
            "ERR invalid expire time in 'set' command",
        ),
        (
            &["SET", "a", "b", "PX", "-1"],
            "ERR invalid expire time in 'set' command",
        ),
        (
            &["EXPIRE", "a", "9223372036854775807"],
            "ERR invalid expire time in 'expire' command",
        ),
        (
            &["EXPIRE", "a", "1.5"],
            "ERR value is not an integer or out of range",
        ),
        (
            &["INCR", "text"],
            "ERR value is not an integer or out of range",
        ),
        (
            &["INCR", "max"],
            "ERR increment or decrement would overflow",
        ),
    ];
    for (words, expected) in cases {
        assert_eq!(client.error(words), *expected, "{words:?}");
    }
    assert_eq!(client.ask(&["GET", "a"]), Reply::Nil);
}
