//! ekio: `block_on` and `spawn_local` on one thread, a `Runtime` on more.

use std::io;

use ekio::net::{TcpListener, TcpStream};

use super::http::{ANSWER, Inbox};
use super::timers::{self, Firing, sleeper};
use super::{Peer, Server, tasks};
use crate::meter::{Figures, Meter};

pub static PEER: Peer = Peer {
    name: "ekio",
    package: "ekio",
    echo: Some(|server| serve(server, echo)),
    http: Some(|server| serve(server, |stream, _| http(stream))),
    #[cfg(feature = "hyper")]
    hyper: Some(|server| serve(server, |stream, _| super::hyper_hello::answer(stream))),
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
    if server.workers == 1 {
        return ekio::block_on(async {
            let listener = TcpListener::from_std(server.listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                ekio::spawn_local(answer(stream, server.buffer));
            }
        });
    }
    let runtime = runtime(server.workers);
    let accepting = runtime.spawn(async move {
        let listener = TcpListener::from_std(server.listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            ekio::spawn(answer(stream, server.buffer));
        }
    });
    runtime.block_on(accepting).map_err(io::Error::other)?
}

fn echo(stream: TcpStream, buffer: usize) -> impl Future<Output = io::Result<()>> {
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

async fn http(stream: TcpStream) -> io::Result<()> {
    let mut inbox = Inbox::new();
    while let len @ 1.. = stream.read(inbox.room()).await? {
        for _ in 0..inbox.received(len)? {
            stream.write_all(ANSWER).await?;
        }
    }
    Ok(())
}

fn spawn_join(count: u32, meter: &mut Meter) {
    ekio::block_on(async {
        meter.start();
        tasks::start_and_join(count, |number| ekio::spawn_local(async move { number })).await;
        meter.stop();
    });
}

fn spawn_join_on(workers: usize, count: u32, meter: &mut Meter) {
    let runtime = runtime(workers);
    let all = tasks::start_and_join(count, |number| ekio::spawn(async move { number }));
    meter.start();
    runtime.block_on(runtime.spawn(all)).unwrap();
    meter.stop();
}

fn yield_now(tasks: u32, count: u32, meter: &mut Meter) {
    ekio::block_on(async {
        meter.start();
        tasks::start_all(tasks, || {
            ekio::spawn_local(tasks::give_way(count / tasks, ekio::task::yield_now))
        })
        .await;
        meter.stop();
    });
}

fn ping_pong(count: u32, meter: &mut Meter) {
    ekio::block_on(async {
        let (ping, pong) = tasks::ping_pong(count);
        meter.start();
        let (ping, pong) = (ekio::spawn_local(ping), ekio::spawn_local(pong));
        ping.await.unwrap();
        pong.await.unwrap();
        meter.stop();
    });
}

fn ping_pong_apart(count: u32, meter: &mut Meter) {
    tasks::on_two_threads(count, meter, ekio::block_on);
}

fn timers_dropped(count: u32) -> Figures {
    ekio::block_on(async { timers::dropped(count, ekio::time::sleep) })
}

fn timers_firing(count: u32) -> Figures {
    ekio::block_on(async {
        let firing = Firing::start(count);
        let sleepers = firing
            .deadlines()
            .map(|due| sleeper(due, ekio::time::sleep_until));
        let tasks: Vec<_> = sleepers.map(ekio::spawn_local).collect();
        for task in tasks {
            task.await.unwrap();
        }
        firing.stop()
    })
}

fn runtime(workers: usize) -> ekio::Runtime {
    let runtime = ekio::Runtime::builder().workers(workers).build();
    runtime.expect("ekio starts")
}
