//! compio, on polling's epoll and on io_uring: a runtime of one thread, so that more workers are more
//! runtimes.

use std::io;

use compio::BufResult;
use compio::buf::{IntoInner as _, IoBuf as _};
use compio::driver::{DriverType, ProactorBuilder};
use compio::io::{AsyncRead as _, AsyncWriteExt as _};
use compio::net::{TcpListener, TcpStream, UnixStream};
use compio::runtime::{Runtime, RuntimeBuilder, spawn};

use super::deal::deal;
use super::http::{ANSWER, Inbox, REQUEST_MAX};
use super::timers::{self, Firing, sleeper};
use super::{Peer, Server, tasks};
use crate::meter::{Figures, Meter};

pub static POLL: Peer = Peer {
    name: "compio-poll",
    ..peer::<Poll>()
};

pub static URING: Peer = Peer {
    name: "compio-uring",
    check: || {
        let permitted = runtime::<Uring>();
        let why = |error| format!("this system does not permit io_uring, or lacks it: {error}");
        permitted.map(drop).map_err(why)
    },
    ..peer::<Uring>()
};

const fn peer<Q: Queue>() -> Peer {
    Peer {
        package: "compio",
        echo: Some(|server| serve::<Q, _>(server, echo)),
        http: Some(|server| serve::<Q, _>(server, |stream, _| http(stream))),
        spawn_join: Some(spawn_join::<Q>),
        yield_now: Some(yield_now::<Q>),
        ping_pong: Some(ping_pong::<Q>),
        ping_pong_apart: Some(ping_pong_apart::<Q>),
        timers_dropped: Some(timers_dropped::<Q>),
        timers_firing: Some(timers_firing::<Q>),
        ..Peer::IDLER
    }
}

/// What waits for the sockets.
trait Queue: 'static {
    const DRIVER: DriverType;
}

struct Poll;

impl Queue for Poll {
    const DRIVER: DriverType = DriverType::Poll;
}

struct Uring;

impl Queue for Uring {
    const DRIVER: DriverType = DriverType::IoUring;
}

fn runtime<Q: Queue>() -> io::Result<Runtime> {
    let mut driver = ProactorBuilder::new();
    driver.driver_type(Q::DRIVER);
    RuntimeBuilder::new().with_proactor(driver).build()
}

fn block_on<Q: Queue, T>(future: impl Future<Output = T>) -> T {
    runtime::<Q>().expect("compio starts").block_on(future)
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
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                spawn(answer(stream, buffer)).detach();
            }
        });
    }
    deal(&listener, workers, move |hand| {
        block_on::<Q, _>(async {
            let mut bell = UnixStream::from_std(hand.bell)?;
            while let BufResult(Ok(1), _) = bell.read([0]).await {
                let stream = hand.streams.recv().map_err(io::Error::other)?;
                spawn(answer(TcpStream::from_std(stream)?, buffer)).detach();
            }
            Ok(())
        })
    })
}

fn echo(mut stream: TcpStream, buffer: usize) -> impl Future<Output = io::Result<()>> {
    let mut buffer = Vec::with_capacity(buffer);
    async move {
        loop {
            let BufResult(len, read) = stream.read(buffer).await;
            let len = len?;
            if len == 0 {
                return Ok(());
            }
            let BufResult(written, back) = stream.write_all(read.slice(..len)).await;
            written?;
            buffer = back.into_inner();
        }
    }
}

async fn http(mut stream: TcpStream) -> io::Result<()> {
    let mut inbox = Inbox::new();
    let mut buffer = Vec::with_capacity(REQUEST_MAX);
    loop {
        let BufResult(len, read) = stream.read(buffer).await;
        let len = len?;
        if len == 0 {
            return Ok(());
        }
        for _ in 0..inbox.received_in(&read[..len])? {
            stream.write_all(ANSWER).await.0?;
        }
        buffer = read;
    }
}

fn spawn_join<Q: Queue>(count: u32, meter: &mut Meter) {
    block_on::<Q, _>(async {
        meter.start();
        tasks::start_and_join(count, |number| spawn(async move { number })).await;
        meter.stop();
    });
}

fn yield_now<Q: Queue>(tasks: u32, count: u32, meter: &mut Meter) {
    block_on::<Q, _>(async {
        meter.start();
        tasks::start_all(tasks, || {
            spawn(tasks::give_way(count / tasks, tasks::yield_now))
        })
        .await;
        meter.stop();
    });
}

fn ping_pong<Q: Queue>(count: u32, meter: &mut Meter) {
    block_on::<Q, _>(async {
        let (ping, pong) = tasks::ping_pong(count);
        meter.start();
        let (ping, pong) = (spawn(ping), spawn(pong));
        ping.await.unwrap();
        pong.await.unwrap();
        meter.stop();
    });
}

fn ping_pong_apart<Q: Queue>(count: u32, meter: &mut Meter) {
    tasks::on_two_threads(count, meter, block_on::<Q, ()>);
}

fn timers_dropped<Q: Queue>(count: u32) -> Figures {
    block_on::<Q, _>(async { timers::dropped(count, compio::time::sleep) })
}

fn timers_firing<Q: Queue>(count: u32) -> Figures {
    block_on::<Q, _>(async {
        let firing = Firing::start(count);
        let sleepers = firing
            .deadlines()
            .map(|due| sleeper(due, compio::time::sleep_until));
        let tasks: Vec<_> = sleepers.map(spawn).collect();
        for task in tasks {
            task.await.unwrap();
        }
        firing.stop()
    })
}
