//! What the tasks live in: chance, a server, and a bounded number of connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_lock::{Semaphore, SemaphoreGuardArc};
use ekio::net::{TcpListener, TcpSocket, TcpStream};
use ekio::task::JoinSet;
use ekio::time::sleep;

/// How many connections may be open at a time, at each of their two ends.
pub const CONNECTIONS_MAX: usize = 200;

/// A generator of numbers that look like chance, and are the same for the same seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ (number >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    /// Others, that follow from these.
    pub fn fork(&mut self) -> Dice {
        Dice(self.roll())
    }
}

/// Counts what is there, and the most that ever was.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

/// One more.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Gauge {
    pub fn enter(&self) -> Counted {
        let now = self.0.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.1.fetch_max(now, Ordering::SeqCst);
        Counted(self.clone())
    }

    pub fn now(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }

    pub fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What has to be, while the server is there. When a runtime ends, it may go first, and then nobody looks
/// at how its clients end. So this panics without a message: for that std reads the program's debug
/// information, and keeps it, which would count as memory that is left over.
pub fn sure<T>(result: io::Result<T>) -> T {
    result.unwrap_or_else(|error| resume_unwind(Box::new(error.to_string())))
}

/// The same of a fact.
pub fn require(is_so: bool, or_else: &str) {
    sure(if is_so {
        Ok(())
    } else {
        Err(io::Error::other(or_else))
    });
}

/// A connection, or one end of it. (The fields are dropped in their order.)
pub struct Line {
    pub stream: TcpStream,
    _counted: Counted,
    _permit: SemaphoreGuardArc,
}

pub struct World {
    listens_at: SocketAddr,
    refuses: TcpSocket,
    clients: Arc<Semaphore>,
    servers: Arc<Semaphore>,
    pub client_lines: Gauge,
    pub server_lines: Gauge,
    pub tasks: Gauge,
    pub connections: AtomicUsize,
    pub retries: AtomicUsize,
}

impl World {
    pub async fn new() -> io::Result<(Arc<World>, TcpListener)> {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(any_port).await?;
        // Bound, so that nobody else is there, and not listening.
        let refuses = TcpSocket::new_v4()?;
        refuses.bind(any_port)?;
        let world = World {
            listens_at: listener.local_addr()?,
            refuses,
            clients: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            servers: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            client_lines: Gauge::default(),
            server_lines: Gauge::default(),
            tasks: Gauge::default(),
            connections: AtomicUsize::new(0),
            retries: AtomicUsize::new(0),
        };
        Ok((Arc::new(world), listener))
    }

    /// Connects, when there is room. The end is abrupt, so that no port is out of use for minutes.
    pub async fn connect(&self) -> Line {
        let permit = self.clients.acquire_arc().await;
        let counted = self.client_lines.enter();
        loop {
            match self.try_connect().await {
                Ok(stream) => {
                    self.connections.fetch_add(1, Ordering::Relaxed);
                    return Line {
                        stream,
                        _counted: counted,
                        _permit: permit,
                    };
                }
                // No port is free; that passes.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse
                    ) =>
                {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    sleep(Duration::from_millis(5)).await;
                }
                error => drop(sure(error)),
            }
        }
    }

    async fn try_connect(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_linger(Some(Duration::ZERO))?;
        socket.connect(self.listens_at).await
    }

    /// Connects to where nobody listens.
    pub async fn be_refused(&self) -> io::Error {
        let _permit = self.clients.acquire_arc().await;
        let _counted = self.client_lines.enter();
        let address = sure(self.refuses.local_addr());
        let connected = TcpStream::connect(address).await;
        require(connected.is_err(), "nobody listens there");
        connected.unwrap_err()
    }
}

/// Serves until it is aborted; then all connections go with it.
pub async fn serve(world: Arc<World>, listener: TcpListener) {
    let _counted = world.tasks.enter();
    let mut connections = JoinSet::new();
    loop {
        let permit = world.servers.acquire_arc().await;
        let Ok((stream, _)) = listener.accept().await else {
            // Somebody who has gone away again.
            continue;
        };
        let line = Line {
            stream,
            _counted: world.server_lines.enter(),
            _permit: permit,
        };
        let counted = world.tasks.enter();
        connections.spawn(async move {
            // The client goes away whenever it likes, and most of the time it does so abruptly.
            let _ = answer(line).await;
            drop(counted);
        });
        while let Some(joined) = connections.try_join_next() {
            // (Cancelled they are when the runtime ends, and this task may be the last to know.)
            assert!(
                !joined.is_err_and(|error| error.is_panic()),
                "a server has panicked"
            );
        }
    }
}

/// The first byte says what the client wants.
pub const ECHO: u8 = b'e';
pub const SILENCE: u8 = b's';
pub const HANG_UP: u8 = b'h';

async fn answer(line: Line) -> io::Result<()> {
    let mut buffer = [0; 2048];
    line.stream.read_exact(&mut buffer[..1]).await?;
    let wanted = buffer[0];
    loop {
        let count = line.stream.read(&mut buffer).await?;
        if count == 0 || wanted == HANG_UP {
            return Ok(());
        }
        if wanted == ECHO {
            line.stream.write_all(&buffer[..count]).await?;
        }
    }
}
