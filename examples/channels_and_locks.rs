//! Workers that share a connection to a slow service: `cargo run --example channels_and_locks`.
//!
//! # What this teaches
//!
//! Channels, locks, `select` and `join` are not in ekio, because nothing in them needs a runtime: their
//! wakers lie with each other and not with an event queue. So those that exist run on it as they are.
//! Here
//!
//! | what | is |
//! |---|---|
//! | the questions, from one task to several | a channel of `async_channel::bounded`: who sends waits while the workers are behind |
//! | the answers, from several tasks to one | another one |
//! | the connection: a question and its answer must not be torn apart | an `async_lock::Mutex`, held across `.await` |
//! | both at the same time: to ask, and to listen | `futures_lite::future::zip` (a *join*) |
//! | whichever is first: the answer, or the end of patience | `futures_lite::future::or` (a *select*) |
//!
//! Whoever prefers those of the crates `futures` or `tokio::sync` (`join!`, `select!`,
//! `FuturesUnordered`, `mpsc`) takes them: they run on ekio too, and the tests in the folder
//! `anywhere` hold them to it.
//!
//! To drop a future is to cancel it, and `or` drops the one that was not first. So what stands in a
//! branch of a *select* should be cancel safe: the documentation of each function of ekio says
//! whether it is. The exchange of a question and an answer below is not, which is why nobody uses
//! the connection any more after a time-out.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use async_channel::{Receiver, Sender};
use async_lock::Mutex;
use ekio::net::{TcpListener, TcpStream};
use ekio::time::sleep;
use futures_lite::future::{or, zip};

/// How many questions there are, and how many ask them.
const QUESTIONS: u8 = 20;
const WORKERS: usize = 4;

/// Nobody waits longer than this for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let sum = ekio::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let connect = TcpStream::connect(listener.local_addr()?);
        let (client, server) = zip(connect, listener.accept()).await;
        let service = ekio::spawn_local(square(server?.0));
        let connection = Rc::new(Mutex::new(client?));

        let (ask, questions) = async_channel::bounded(1);
        let (tell, answers) = async_channel::bounded(1);
        for number in 1..=WORKERS {
            let (questions, tell) = (questions.clone(), tell.clone());
            ekio::spawn_local(work(number, questions, Rc::clone(&connection), tell));
        }
        // What remains are the ends that the workers hold: when they have gone, the channels close.
        drop((questions, tell, connection));

        let (_, sum) = zip(ask_all(ask), add_all(answers)).await;
        service
            .await
            .expect("the service has panicked, see above")?;
        sum
    })?;
    println!("the squares of 1 to {QUESTIONS} are {sum} in all");
    Ok(())
}

async fn ask_all(ask: Sender<u8>) {
    for question in 1..=QUESTIONS {
        if ask.send(question).await.is_err() {
            return; // The workers have given up, and `add_all` hears why.
        }
    }
}

async fn add_all(answers: Receiver<io::Result<u16>>) -> io::Result<u16> {
    let mut sum = 0;
    while let Ok(answer) = answers.recv().await {
        sum += answer?;
    }
    Ok(sum)
}

async fn work(
    number: usize,
    questions: Receiver<u8>,
    connection: Rc<Mutex<TcpStream>>,
    tell: Sender<io::Result<u16>>,
) {
    while let Ok(question) = questions.recv().await {
        let connection = connection.lock().await;
        let patience = async {
            sleep(PATIENCE).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        let answer = or(exchange(&connection, question), patience).await;
        // While the worker waits below, another one may ask.
        drop(connection);
        if let Ok(answer) = &answer {
            println!("worker {number}: {question} * {question} = {answer}");
        }
        if tell.send(answer).await.is_err() {
            return;
        }
    }
}

/// Asks, and waits for the answer.
async fn exchange(connection: &TcpStream, question: u8) -> io::Result<u16> {
    connection.write_all(&[question]).await?;
    let mut answer = [0; 2];
    connection.read_exact(&mut answer).await?;
    Ok(u16::from_be_bytes(answer))
}

/// The service: thinks for a while about each number.
async fn square(client: TcpStream) -> io::Result<()> {
    let mut question = [0];
    while client.read(&mut question).await? > 0 {
        sleep(Duration::from_millis(2)).await;
        let answer = u16::from(question[0]).pow(2);
        client.write_all(&answer.to_be_bytes()).await?;
    }
    Ok(())
}
