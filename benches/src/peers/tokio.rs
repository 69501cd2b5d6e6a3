//! tokio: `current_thread` on one thread, `multi_thread` on more.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::http::{ANSWER, Inbox};
use super::timers::{self, Firing, sleeper};
use super::{Peer, Server, tasks};
use crate::meter::{Figures, Meter};

pub static PEER: Peer = Peer {
    name: "tokio",
    package: "tokio",
    echo: Some(|server| serve(server, echo)),
    http: Some(|server| serve(server, |stream, _| http(stream))),
    #[cfg(feature = "hyper")]
    hyper: Some(|server| serve(server, |stream, _| hyper_hello(stream))),
    spawn_join: Some(spawn_join),
    spawn_join_on: Some(spawn_join_on),
    yield_now: Some(yield_now),
    ping_pong: Some(ping_pong),
    ping_pong_apart: Some(ping_pong_apart),
    timers_dropped: Some(timers_dropped),
    timers_firing: Some(timers_firing),
    ..Peer::IDLER
};

fn serve<F>(server: Server, answer: fn(TcpStream, usize) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let runtime = builder(server.workers).enable_io().build()?;
    let accepting = async move {
        server.listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(server.listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(answer(stream, server.buffer));
        }
    };
    if server.workers == 1 {
        runtime.block_on(accepting)
    } else {
        runtime.block_on(runtime.spawn(accepting))?
    }
}

fn echo(mut stream: TcpStream, buffer: usize) -> impl Future<Output = io::Result<()>> {
    let mut buffer = vec![0; buffer];
    async move {
        loop {
            let len = stream.read(&mut buffer).await?;
            if len == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..len]).await?;
        }
    }
}

async fn http(mut stream: TcpStream) -> io::Result<()> {
    let mut inbox = Inbox::new();
    while let len @ 1.. = stream.read(inbox.room()).await? {
        for _ in 0..inbox.received(len)? {
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}

#[cfg(feature = "hyper")]
fn hyper_hello(stream: TcpStream) -> impl Future<Output = io::Result<()>> + Send {
    super::hyper_hello::answer(hyper_util::rt::TokioIo::new(stream))
}

fn spawn_join(count: u32, meter: &mut Meter) {
    without_drivers(1).block_on(async {
        meter.start();
        tasks::start_and_join(count, |number| tokio::spawn(async move { number })).await;
        meter.stop();
    });
}

fn spawn_join_on(workers: usize, count: u32, meter: &mut Meter) {
    let runtime = without_drivers(workers);
    let all = tasks::start_and_join(count, |number| tokio::spawn(async move { number }));
    meter.start();
    runtime.block_on(runtime.spawn(all)).unwrap();
    meter.stop();
}

fn yield_now(tasks: u32, count: u32, meter: &mut Meter) {
    without_drivers(1).block_on(async {
        meter.start();
        tasks::start_all(tasks, || {
            tokio::spawn(tasks::give_way(count / tasks, tasks::yield_now))
        })
        .await;
        meter.stop();
    });
}

fn ping_pong(count: u32, meter: &mut Meter) {
    without_drivers(1).block_on(async {
        let (ping, pong) = tasks::ping_pong(count);
        meter.start();
        let (ping, pong) = (tokio::spawn(ping), tokio::spawn(pong));
        ping.await.unwrap();
        pong.await.unwrap();
        meter.stop();
    });
}

fn ping_pong_apart(count: u32, meter: &mut Meter) {
    tasks::on_two_threads(count, meter, |task| without_drivers(1).block_on(task));
}

fn timers_dropped(count: u32) -> Figures {
    with_timers().block_on(async { timers::dropped(count, tokio::time::sleep) })
}

fn timers_firing(count: u32) -> Figures {
    with_timers().block_on(async {
        let firing = Firing::start(count);
        let sleep_until = |due: Instant| tokio::time::sleep_until(due.into());
        let sleepers = firing.deadlines().map(|due| sleeper(due, sleep_until));
        let tasks: Vec<_> = sleepers.map(tokio::spawn).collect();
        for task in tasks {
            task.await.unwrap();
        }
        firing.stop()
    })
}

fn with_timers() -> Runtime {
    let runtime = builder(1).enable_time().build();
    runtime.expect("tokio starts")
}

/// For the loads without I/O and timers, because with its drivers tokio turns the event queue whenever
/// a lone task gives way, which takes several times as long.
fn without_drivers(workers: usize) -> Runtime {
    builder(workers).build().expect("tokio starts")
}

fn builder(workers: usize) -> Builder {
    if workers == 1 {
        return Builder::new_current_thread();
    }
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers);
    builder
}
