//! For runtimes that have one thread each: two of them share a load if each gets as many connections
//! as the other.

use std::io::{self, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// Where one of the threads gets its connections from.
pub struct Hand {
    /// A byte comes for each, which a runtime waits for as for all else that is sent to it: not every
    /// runtime can be woken from another thread.
    pub bell: UnixStream,
    pub streams: Receiver<TcpStream>,
}

/// Runs `work` on so many threads, and deals the connections out to them one by one. The thread that
/// accepts them, this one, is asleep while they are measured.
pub fn deal(
    listener: &TcpListener,
    threads: usize,
    work: impl Fn(Hand) -> io::Result<()> + Copy + Send + 'static,
) -> io::Result<()> {
    let mut hands = Vec::new();
    for _ in 0..threads {
        let (ringer, bell) = UnixStream::pair()?;
        let (sender, streams) = channel();
        thread::spawn(move || work(Hand { bell, streams }));
        hands.push((sender, ringer));
    }
    for (sender, mut ringer) in hands
        .iter()
        .map(|(sender, ringer)| (sender, ringer))
        .cycle()
    {
        let (stream, _) = listener.accept()?;
        sender.send(stream).map_err(io::Error::other)?;
        ringer.write_all(&[0])?;
    }
    Ok(())
}
