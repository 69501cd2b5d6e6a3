//! Finding the socket behind a socket.
//!
//! Windows lets software (virus scanners, parental controls, old VPNs) put a *layered service
//! provider* between a program and its sockets. The `SOCKET` that the program holds is then not
//! AFD's, and AFD refuses to poll it. Each layer is supposed to hand out the *base handle*; some
//! do not, or lie, but name the handle one layer further down when it is asked for by the call
//! that `select` or `WSAPoll` uses.
//!
//! * [`SIO_BASE_HANDLE` and its kin](https://learn.microsoft.com/en-us/windows/win32/winsock/winsock-ioctls)
//! * found out by [wepoll](https://github.com/piscisaureus/wepoll) and
//!   [mio](https://github.com/tokio-rs/mio/pull/1314)

use std::io;

/// The questions, of which the first leads to the end and each of the others one layer down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// `SIO_BASE_HANDLE`
    Base,
    /// `SIO_BSP_HANDLE_POLL`
    Poll,
    /// `SIO_BSP_HANDLE_SELECT`
    Select,
    /// `SIO_BSP_HANDLE`
    Plain,
}

const ONE_DOWN: [Question; 3] = [Question::Poll, Question::Select, Question::Plain];

/// More layers than anybody installs; providers that name each other in a circle end here.
const LAYERS_MAX: usize = 32;

/// What `WSAIoctl` answers for a handle that is no socket, or no longer.
pub(super) const WSAENOTSOCK: i32 = 10038;

/// Follows the layers down. `ask` puts a question to a socket, and gives the handle that it named,
/// or the error of Winsock.
pub(super) fn find<S: Copy + Eq>(
    mut socket: S,
    mut ask: impl FnMut(S, Question) -> Result<S, i32>,
) -> io::Result<S> {
    for _ in 0..LAYERS_MAX {
        let error = match ask(socket, Question::Base) {
            Ok(base) => return Ok(base),
            Err(WSAENOTSOCK) => return Err(not_a_socket()),
            Err(error) => error,
        };
        let mut below = ONE_DOWN
            .into_iter()
            .filter_map(|question| ask(socket, question).ok())
            .filter(|below| *below != socket);
        socket = below.next().ok_or_else(|| no_base(error))?;
    }
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "the layered service providers under this socket lead nowhere",
    ))
}

fn not_a_socket() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "this handle is not an open socket (was it closed?)",
    )
}

fn no_base(error: i32) -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        format!(
            "a layered service provider under this socket does not name its base handle: {}",
            io::Error::from_raw_os_error(error)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const WSAEOPNOTSUPP: i32 = 10045;

    /// Answers from a table of (socket, question, named handle); all else is refused.
    fn walk(start: u32, table: &[(u32, Question, u32)]) -> (io::Result<u32>, usize) {
        let mut asked = 0;
        let base = find(start, |socket, question| {
            asked += 1;
            table
                .iter()
                .find(|row| (row.0, row.1) == (socket, question))
                .map(|row| row.2)
                .ok_or(WSAEOPNOTSUPP)
        });
        (base, asked)
    }

    #[test]
    fn b_lsp_walk() {
        use Question::{Base, Plain, Poll, Select};
        // No layer at all: one question.
        let (base, asked) = walk(7, &[(7, Base, 7)]);
        assert_eq!((base.unwrap(), asked), (7, 1));
        // An honest layer.
        assert_eq!(walk(9, &[(9, Base, 7)]).0.unwrap(), 7);
        // A layer that hides its base and is left by each of the other ways; on one it names
        // itself, which leads nowhere.
        for way in [Poll, Select, Plain] {
            let table = [(9, Poll, 9), (9, way, 8), (8, Base, 7)];
            let table = if way == Poll { &table[1..] } else { &table[..] };
            assert_eq!(walk(9, table).0.unwrap(), 7, "{way:?}");
        }
        // Two of them.
        let table = [(9, Poll, 8), (8, Select, 6), (6, Base, 7)];
        assert_eq!(walk(9, &table).0.unwrap(), 7);
    }

    #[test]
    fn b_lsp_walk_ends() {
        // Nobody knows.
        let (base, asked) = walk(9, &[]);
        assert_eq!(base.unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert_eq!(asked, 4);
        // A circle.
        let circle = [(9, Question::Poll, 8), (8, Question::Poll, 9)];
        let (base, asked) = walk(9, &circle);
        assert_eq!(base.unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert!(asked <= 4 * LAYERS_MAX);
        // Not a socket: no other question is asked, here or a layer down.
        let mut asked = Vec::new();
        let base = find(9, |socket, question| {
            asked.push((socket, question));
            match (socket, question) {
                (9, Question::Poll) => Ok(8),
                (8, _) => Err(WSAENOTSOCK),
                _ => Err(WSAEOPNOTSUPP),
            }
        });
        assert_eq!(base.unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(asked.last(), Some(&(8, Question::Base)));
    }
}
