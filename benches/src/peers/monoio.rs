//! monoio, on epoll and on io_uring: a runtime of one thread, so that more workers are more runtimes.
//!
//! It is as it comes, without its feature `sync`, which its own default leaves out. So its tasks cannot
//! be woken from another thread, and it has no part in the ping-pong between two.

use std::io;

use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use monoio::net::{TcpListener, TcpStream, UnixStream};
use monoio::time::TimeDriver;
use monoio::{Buildable, Driver, IoUringDriver, LegacyDriver, RuntimeBuilder};

use super::deal::deal;
use super::http::{ANSWER, Inbox, REQUEST_MAX};
use super::timers::{self, Firing, sleeper};
use super::{Peer, Server, tasks};
use crate::meter::{Figures, Meter};

pub static EPOLL: Peer = Peer {
    name: "monoio-epoll",
    ..peer::<LegacyDriver>()
};

pub static URING: Peer = Peer {
    name: "monoio-uring",
    check: || match monoio::utils::detect_uring() {
        true => Ok(()),
        false => Err("this system does not permit io_uring, or lacks a part of it".into()),
    },
    ..peer::<IoUringDriver>()
};

const fn peer<Q: Queue>() -> Peer {
    Peer {
        package: "monoio",
        echo: Some(|server| serve::<Q, _>(server, echo)),
        http: Some(|server| serve::<Q, _>(server, |stream, _| http(stream))),
        spawn_join: Some(spawn_join::<Q>),
        yield_now: Some(yield_now::<Q>),
        ping_pong: Some(ping_pong::<Q>),
        timers_dropped: Some(timers_dropped::<Q>),
        timers_firing: Some(timers_firing::<Q>),
        ..Peer::IDLER
    }
}

/// What waits for the sockets.
trait Queue: Buildable + Driver + 'static {
    /// How std's sockets have to be: monoio takes them as they are.
    const IS_NONBLOCKING: bool;
}

impl Queue for LegacyDriver {
    const IS_NONBLOCKING: bool = true;
}

impl Queue for IoUringDriver {
    const IS_NONBLOCKING: bool = false;
}

fn block_on<Q: Queue, T>(future: impl Future<Output = T>) -> T {
    let runtime = Q::build(RuntimeBuilder::new());
    runtime.expect("monoio starts").block_on(future)
}

fn serve<Q, F>(server: Server, answer: fn(TcpStream, usize) -> F) -> io::Result<()>
where
    Q: Queue,
    F: Future<Output = io::Result<()>> + 'static,
{
    let Server {
        listener,
        workers,
        buffer,
    } = server;
    if workers == 1 {
        return block_on::<Q, _>(async {
            listener.set_nonblocking(Q::IS_NONBLOCKING)?;
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                monoio::spawn(answer(stream, buffer));
            }
        });
    }
    deal(&listener, workers, move |hand| {
        block_on::<Q, _>(async {
            hand.bell.set_nonblocking(Q::IS_NONBLOCKING)?;
            let mut bell = UnixStream::from_std(hand.bell)?;
            while let (Ok(1), _) = bell.read(vec![0]).await {
                let stream = hand.streams.recv().map_err(io::Error::other)?;
                stream.set_nonblocking(Q::IS_NONBLOCKING)?;
                monoio::spawn(answer(TcpStream::from_std(stream)?, buffer));
            }
            Ok(())
        })
    })
}

fn echo(mut stream: TcpStream, buffer: usize) -> impl Future<Output = io::Result<()>> {
    let mut buffer = Vec::with_capacity(buffer);
    async move {
        loop {
            let (len, read) = stream.read(buffer).await;
            if len? == 0 {
                return Ok(());
            }
            // Whose length is what was read.
            let (written, back) = stream.write_all(read).await;
            written?;
            buffer = back;
        }
    }
}

async fn http(mut stream: TcpStream) -> io::Result<()> {
    let mut inbox = Inbox::new();
    let mut buffer = Vec::with_capacity(REQUEST_MAX);
    loop {
        let (len, read) = stream.read(buffer).await;
        if len? == 0 {
            return Ok(());
        }
        for _ in 0..inbox.received_in(&read)? {
            stream.write_all(ANSWER).await.0?;
        }
        buffer = read;
    }
}

fn spawn_join<Q: Queue>(count: u32, meter: &mut Meter) {
    block_on::<Q, _>(async {
        meter.start();
        tasks::start_and_join(count, |number| monoio::spawn(async move { number })).await;
        meter.stop();
    });
}

fn yield_now<Q: Queue>(tasks: u32, count: u32, meter: &mut Meter) {
    block_on::<Q, _>(async {
        meter.start();
        tasks::start_all(tasks, || {
            monoio::spawn(tasks::give_way(count / tasks, tasks::yield_now))
        })
        .await;
        meter.stop();
    });
}

fn ping_pong<Q: Queue>(count: u32, meter: &mut Meter) {
    block_on::<Q, _>(async {
        let (ping, pong) = tasks::ping_pong(count);
        meter.start();
        let (ping, pong) = (monoio::spawn(ping), monoio::spawn(pong));
        ping.await;
        pong.await;
        meter.stop();
    });
}

fn timers_dropped<Q: Queue>(count: u32) -> Figures {
    with_timers::<Q, _>(async { timers::dropped(count, monoio::time::sleep) })
}

fn timers_firing<Q: Queue>(count: u32) -> Figures {
    with_timers::<Q, _>(async {
        let firing = Firing::start(count);
        let sleep_until = |due| monoio::time::sleep_until(monoio::time::Instant::from_std(due));
        let sleepers = firing.deadlines().map(|due| sleeper(due, sleep_until));
        let tasks: Vec<_> = sleepers.map(monoio::spawn).collect();
        for task in tasks {
            task.await;
        }
        firing.stop()
    })
}

/// It has none unless it is asked to.
fn with_timers<Q: Queue, T>(future: impl Future<Output = T>) -> T {
    let runtime = TimeDriver::<Q>::build(RuntimeBuilder::new());
    runtime.expect("monoio starts").block_on(future)
}
