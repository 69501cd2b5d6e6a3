//! One client: reads requests, and writes replies.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ekio::net::TcpStream;
use ekio::time::timeout;

use super::commands;
use super::resp::{Reply, Requests};
use super::store::Store;

/// How much is read at once.
const PIECE: usize = 16 * 1024;

/// How many bytes of replies may gather before they are written, though more requests wait. A client
/// who asks and does not listen waits at that point, and takes no more memory.
const REPLIES_MAX: usize = 64 * 1024;

/// For how long, and how much, a client may go on sending who has been told that he makes no sense.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_PIECES: usize = 1024;

/// What all connections have in common.
pub struct Shared {
    pub store: Mutex<Store>,
    pub commands: AtomicU64,
}

impl Shared {
    /// Held for a command, never across an `.await`.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves a client until it leaves.
pub async fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    // Replies go out when they are written; there is nothing to wait for.
    stream.set_nodelay(true)?;
    let mut requests = Requests::default();
    let mut replies = Vec::new();
    let mut piece = vec![0; PIECE];
    loop {
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        requests.feed(&piece[..count]);
        loop {
            match requests.next() {
                Ok(Some(request)) => {
                    let reply = commands::answer(&mut shared.store(), &request, Instant::now());
                    reply.write(&mut replies);
                    shared.commands.fetch_add(1, Ordering::Relaxed);
                }
                Ok(None) => break,
                Err(malformed) => {
                    let text = format!("ERR Protocol error: {malformed}");
                    Reply::Error(text).write(&mut replies);
                    stream.write_all(&replies).await?;
                    return part_with(stream, &mut piece).await;
                }
            }
            if replies.len() >= REPLIES_MAX {
                flush(stream, &mut replies).await?;
            }
        }
        flush(stream, &mut replies).await?;
    }
}

async fn flush(stream: &TcpStream, replies: &mut Vec<u8>) -> io::Result<()> {
    stream.write_all(replies).await?;
    replies.clear();
    // One large reply is no reason to hold so much for as long as the client stays.
    replies.shrink_to(REPLIES_MAX);
    Ok(())
}

/// Ends a connection so that the last words are heard: a socket that is closed with bytes unread
/// resets the connection, and the reset may overtake what was written before.
async fn part_with(stream: &TcpStream, piece: &mut [u8]) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let listen = async {
        for _ in 0..FAREWELL_PIECES {
            if stream.read(piece).await? == 0 {
                break;
            }
        }
        Ok(())
    };
    timeout(FAREWELL, listen).await.unwrap_or(Ok(()))
}
