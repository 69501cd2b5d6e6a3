//! What each command does. The texts of the errors are Redis' own, where it has the same.

use std::time::{Duration, Instant};

use super::resp::{Reply, parse};
use super::store::Store;

/// Does a command. The request is not empty.
pub fn answer(store: &mut Store, request: &[Vec<u8>], now: Instant) -> Reply {
    let (name, arguments) = request.split_first().expect("a request has a name");
    let name = name.to_ascii_lowercase();
    match (name.as_slice(), arguments) {
        (b"ping", []) => Reply::Simple("PONG"),
        (b"ping" | b"echo", [message]) => Reply::Bulk(message.clone()),
        (b"get", [key]) => match store.get(key, now) {
            Some(value) => Reply::Bulk(value.to_vec()),
            None => Reply::Nil,
        },
        (b"set", [key, value, options @ ..]) => set(store, key, value, options, now),
        (b"del", [_, ..]) => {
            let deleted = arguments.iter().filter(|key| store.delete(key, now));
            Reply::Integer(deleted.count() as i64)
        }
        (b"incr", [key]) => increment(store, key, now),
        (b"expire", [key, seconds]) => expire(store, key, seconds, now),
        (b"ttl", [key]) => Reply::Integer(match store.deadline(key, now) {
            None => -2,
            Some(None) => -1,
            // Rounded to the nearest.
            Some(Some(deadline)) => {
                let left = deadline.saturating_duration_since(now) + Duration::from_millis(500);
                i64::try_from(left.as_secs()).unwrap_or(i64::MAX)
            }
        }),
        (b"ping" | b"echo" | b"get" | b"set" | b"del" | b"incr" | b"expire" | b"ttl", _) => {
            error(format!(
                "wrong number of arguments for '{}' command",
                name.escape_ascii()
            ))
        }
        _ => {
            // Not more of it than is needed to recognize it.
            let name = &request[0][..request[0].len().min(64)];
            error(format!("unknown command '{}'", name.escape_ascii()))
        }
    }
}

fn error(text: impl Into<String>) -> Reply {
    Reply::Error(format!("ERR {}", text.into()))
}

fn set(store: &mut Store, key: &[u8], value: &[u8], options: &[Vec<u8>], now: Instant) -> Reply {
    let deadline = match options {
        [] => None,
        [unit, number] if unit.eq_ignore_ascii_case(b"ex") => Some(after(number, 1_000, now)),
        [unit, number] if unit.eq_ignore_ascii_case(b"px") => Some(after(number, 1, now)),
        _ => return error("syntax error"),
    };
    match deadline {
        Some(After::NoNumber) => error("value is not an integer or out of range"),
        Some(After::Never | After::Past) => error("invalid expire time in 'set' command"),
        Some(After::At(deadline)) => {
            store.set(key, value.to_vec(), Some(deadline));
            Reply::Simple("OK")
        }
        None => {
            store.set(key, value.to_vec(), None);
            Reply::Simple("OK")
        }
    }
}

fn expire(store: &mut Store, key: &[u8], seconds: &[u8], now: Instant) -> Reply {
    match after(seconds, 1_000, now) {
        After::NoNumber => error("value is not an integer or out of range"),
        After::Never => error("invalid expire time in 'expire' command"),
        After::Past => Reply::Integer(store.delete(key, now).into()),
        After::At(deadline) => Reply::Integer(store.set_deadline(key, deadline, now).into()),
    }
}

/// When a time is over that a client has named.
enum After {
    At(Instant),
    /// It is zero or less.
    Past,
    /// Nobody will live to see it.
    Never,
    NoNumber,
}

fn after(number: &[u8], unit_ms: u64, now: Instant) -> After {
    let Some(number) = parse(number) else {
        return After::NoNumber;
    };
    let Ok(number) = u64::try_from(number) else {
        return After::Past;
    };
    if number == 0 {
        return After::Past;
    }
    let deadline = number
        .checked_mul(unit_ms)
        .and_then(|ms| now.checked_add(Duration::from_millis(ms)));
    deadline.map_or(After::Never, After::At)
}

fn increment(store: &mut Store, key: &[u8], now: Instant) -> Reply {
    let Some(number) = store.get(key, now).map_or(Some(0), parse) else {
        return error("value is not an integer or out of range");
    };
    match number.checked_add(1) {
        Some(number) => {
            store.update(key, number.to_string().into_bytes());
            Reply::Integer(number)
        }
        None => error("increment or decrement would overflow"),
    }
}
