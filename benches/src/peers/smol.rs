//! smol: a `StaticLocalExecutor` on one thread, a `StaticExecutor` on more. They are kinds of
//! the executors that smol itself names, for programs that have one for good, as servers do.

use std::future::pending;
use std::io;
use std::thread;

use async_executor::{LocalExecutor, StaticExecutor, StaticLocalExecutor};
use smol::Timer;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::net::{TcpListener, TcpStream};

use super::http::{ANSWER, Inbox};
use super::timers::{self, Firing, sleeper};
use super::{Peer, Server, tasks};
use crate::meter::{Figures, Meter};

pub static PEER: Peer = Peer {
    name: "smol",
    package: "smol",
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

static EXECUTOR: StaticExecutor = StaticExecutor::new();

fn serve<F>(server: Server, answer: fn(TcpStream, usize) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    if server.workers == 1 {
        let executor = local_executor();
        return smol::block_on(executor.run(async {
            let listener = TcpListener::try_from(server.listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                executor.spawn(answer(stream, server.buffer)).detach();
            }
        }));
    }
    start_workers(server.workers);
    smol::block_on(EXECUTOR.spawn(async move {
        let listener = TcpListener::try_from(server.listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            EXECUTOR.spawn(answer(stream, server.buffer)).detach();
        }
    }))
}

/// They end with the process.
fn start_workers(workers: usize) {
    for _ in 0..workers {
        thread::spawn(|| smol::block_on(EXECUTOR.run(pending::<()>())));
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
    super::hyper_hello::answer(smol_hyper::rt::FuturesIo::new(stream))
}

fn spawn_join(count: u32, meter: &mut Meter) {
    let executor = local_executor();
    block_on(executor.run(async {
        meter.start();
        tasks::start_and_join(count, |number| executor.spawn(async move { number })).await;
        meter.stop();
    }));
}

fn spawn_join_on(workers: usize, count: u32, meter: &mut Meter) {
    start_workers(workers);
    let all = tasks::start_and_join(count, |number| EXECUTOR.spawn(async move { number }));
    meter.start();
    block_on(EXECUTOR.spawn(all));
    meter.stop();
}

fn yield_now(tasks: u32, count: u32, meter: &mut Meter) {
    let executor = local_executor();
    block_on(executor.run(async {
        meter.start();
        tasks::start_all(tasks, || {
            executor.spawn(tasks::give_way(count / tasks, tasks::yield_now))
        })
        .await;
        meter.stop();
    }));
}

fn ping_pong(count: u32, meter: &mut Meter) {
    let executor = local_executor();
    block_on(executor.run(async {
        let (ping, pong) = tasks::ping_pong(count);
        meter.start();
        let (ping, pong) = (executor.spawn(ping), executor.spawn(pong));
        ping.await;
        pong.await;
        meter.stop();
    }));
}

fn ping_pong_apart(count: u32, meter: &mut Meter) {
    tasks::on_two_threads(count, meter, |task| block_on(local_executor().run(task)));
}

fn local_executor() -> &'static StaticLocalExecutor {
    LocalExecutor::new().leak()
}

fn timers_dropped(count: u32) -> Figures {
    smol::block_on(async { timers::dropped(count, Timer::after) })
}

fn timers_firing(count: u32) -> Figures {
    let executor = local_executor();
    smol::block_on(executor.run(async {
        let firing = Firing::start(count);
        let sleepers = firing.deadlines().map(|due| sleeper(due, Timer::at));
        let tasks: Vec<_> = sleepers.map(|sleeper| executor.spawn(sleeper)).collect();
        for task in tasks {
            task.await;
        }
        firing.stop()
    }))
}

/// For the loads without I/O and timers: it does not turn smol's event queue, which is faster.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    smol::future::block_on(future)
}
