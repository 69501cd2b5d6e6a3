//! hyper 1.x on ekio: its traits of the module `hyper::rt`, on ekio's types.
//!
//! hyper speaks HTTP, and leaves it to its user where bytes come from, who runs tasks, and what time
//! it is. With the feature `hyper`, ekio answers that, and needs no wrapper for its streams:
//!
//! | `hyper::rt` | here |
//! |---|---|
//! | `Read`, `Write` | [`TcpStream`], [`UnixStream`], and references to them |
//! | `Executor` | [`LocalExecutor`]: tasks on this thread, which need not be `Send`; [`RuntimeExecutor`] and [`Handle`]: tasks on the workers of a [`Runtime`](crate::Runtime) |
//! | `Timer`, `Sleep` | [`Timer`], [`time::Sleep`] |
//!
//! A stream in another one (TLS by `futures-rustls`, say) has the traits of `futures-io`, for which there is
//! `smol_hyper::rt::FuturesIo`; it runs on ekio like anything else that needs no runtime.
//!
//! ```
//! use ekio::compat::hyper::Timer;
//! use ekio::net::{TcpListener, TcpStream};
//! use http_body_util::{BodyExt as _, Empty, Full};
//! use hyper::body::{Bytes, Incoming};
//! use hyper::service::service_fn;
//! use hyper::{Request, Response};
//! use std::convert::Infallible;
//!
//! # type Error = Box<dyn std::error::Error>;
//! async fn hello(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
//!     Ok(Response::new(Full::from("Hello!")))
//! }
//!
//! # fn main() -> Result<(), Error> {
//! let body = ekio::block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     ekio::spawn_local(async move {
//!         let (stream, _) = listener.accept().await?;
//!         let mut http = hyper::server::conn::http1::Builder::new();
//!         http.timer(Timer).serve_connection(stream, service_fn(hello)).await?;
//!         Ok::<_, Error>(())
//!     });
//!
//!     let stream = TcpStream::connect(address).await?;
//!     let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await?;
//!     ekio::spawn_local(connection);
//!     let request = Request::get("/").header("host", "example").body(Empty::<Bytes>::new())?;
//!     let response = client.send_request(request).await?;
//!     Ok::<_, Error>(response.into_body().collect().await?.to_bytes())
//! })?;
//! assert_eq!(body, "Hello!");
//! # Ok(())
//! # }
//! ```
//!
//! # What it costs
//!
//! A request that comes in one segment costs one `recv`, straight into hyper's memory, which nobody has
//! had to fill with zeros before; there is no second one to find that there is no more where the poller
//! knows that (see [`Registration`](crate::reactor::Registration)). Its answer costs one `sendmsg` from
//! hyper's own buffers, head and body, without a copy; a short one is put together on the stack for a
//! `send`, which costs less. hyper sets its timers anew again and again (one for the heads of requests):
//! here that is the same timer each time, and no allocation.
//!
//! # Platform behaviour
//!
//! | | Unix | Windows |
//! |---|---|---|
//! | several buffers at once | TCP and Unix sockets | TCP; for a Unix socket hyper copies them into one |
//!
//! # Errors
//!
//! hyper's errors have the [`io::Error`] of the stream as their source.
//!
//! # Cancel safety
//!
//! A read or write of a stream is done when it answers, and has done nothing before. Dropping a connection of
//! hyper's drops its stream, and thereby closes it.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{self, ReadBufCursor};

use crate::executor;
#[cfg(feature = "rt-multi-thread")]
use crate::executor::runtime::Handle;
use crate::net::unix::UnixStream;
use crate::net::{Stream, TcpStream};
use crate::reactor::IoSafe;
use crate::sys::{AsSocket, StreamSocket};
use crate::time;

/// Runs hyper's futures as tasks on the workers of the [`Runtime`](crate::Runtime) that the caller is in, by
/// [`ekio::spawn`](crate::spawn). A [`Handle`] does the same for the runtime that it belongs to, wherever
/// the caller is.
///
/// HTTP/1 needs no executor; HTTP/2 does, and so do the clients with a pool of `hyper-util`.
///
/// # Panics
///
/// `execute` does, outside of a runtime.
///
/// # Examples
///
/// ```
/// use ekio::compat::hyper::RuntimeExecutor;
/// use hyper::rt::Executor;
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = ekio::Runtime::builder().workers(1).build()?;
/// runtime.block_on(async {
///     let (sender, receiver) = async_channel::bounded(1);
///     RuntimeExecutor.execute(async move { sender.send("run").await });
///     assert_eq!(receiver.recv().await, Ok("run"));
/// });
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "rt-multi-thread")]
#[doc(alias = "TokioExecutor")]
#[derive(Clone, Copy, Debug, Default)]
pub struct RuntimeExecutor;

#[cfg(feature = "rt-multi-thread")]
impl<F> rt::Executor<F> for RuntimeExecutor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        drop(executor::spawn(future));
    }
}

/// Runs hyper's futures as tasks on the workers of its runtime.
#[cfg(feature = "rt-multi-thread")]
impl<F> rt::Executor<F> for Handle
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        drop(self.spawn(future));
    }
}

/// Runs hyper's futures as tasks on this thread, by [`spawn_local`](crate::spawn_local). They need not be
/// `Send`, nor need what is in them: services, bodies.
///
/// # Panics
///
/// `execute` does, outside of [`block_on`](crate::block_on).
///
/// # Examples
///
/// ```
/// use ekio::compat::hyper::LocalExecutor;
/// use hyper::rt::Executor;
/// use std::rc::Rc;
///
/// ekio::block_on(async {
///     let (sender, receiver) = async_channel::bounded(1);
///     let text = Rc::new("run");
///     LocalExecutor.execute(async move { sender.send(*text).await });
///     assert_eq!(receiver.recv().await, Ok("run"));
/// });
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalExecutor;

impl<F> rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        drop(executor::spawn_local(future));
    }
}

/// Tells hyper the time, and wakes it: by [`time::now`] and [`time::Sleep`]. Without a timer, hyper does
/// without limits of time.
///
/// Under [virtual time](crate::runtime::Builder::virtual_time), hyper goes by that.
///
/// # Examples
///
/// ```
/// use ekio::compat::hyper::Timer;
/// use std::time::Duration;
///
/// let mut http = hyper::server::conn::http1::Builder::new();
/// http.timer(Timer).header_read_timeout(Duration::from_secs(5));
/// ```
#[doc(alias = "TokioTimer")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(time::sleep(duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(time::sleep_until(deadline))
    }

    fn now(&self) -> Instant {
        time::now()
    }

    /// In its place, if it is one of ours.
    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<time::Sleep>() {
            Some(sleep) => sleep.reset(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// What [`Timer`] gives to hyper.
impl rt::Sleep for time::Sleep {}

/// Reads once into what there is of hyper's buffer.
fn poll_fill<S: StreamSocket + IoSafe + AsSocket>(
    stream: &Stream<S>,
    cx: &mut Context<'_>,
    mut buffer: ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    // SAFETY: as_mut asks that no byte that may have been initialised is made otherwise: the memory is lent
    // to `poll_read_uninit` alone, which writes nothing but what it has read.
    let room = unsafe { buffer.as_mut() };
    let count = ready!(stream.poll_read_uninit(cx, room))?;
    // SAFETY: advance asks that so many bytes have been initialised: they have, from the beginning, by the
    // promise of `poll_read_uninit`.
    unsafe { buffer.advance(count) };
    Poll::Ready(Ok(()))
}

/// Both traits, for what holds a [`Stream`] and for a reference to it, and whether it can write from
/// several buffers at once.
macro_rules! traits {
    ($($type:ty: $is_vectored:expr),* $(,)?) => {$(
        /// Reads from a stream, which may be shared. The latest waker is kept.
        impl rt::Read for $type {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffer: ReadBufCursor<'_>,
            ) -> Poll<io::Result<()>> {
                poll_fill(&self.stream, cx, buffer)
            }
        }

        /// Writes to a stream, which may be shared. The latest waker is kept.
        impl rt::Write for $type {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.stream.poll_write(cx, bytes)
            }

            /// There is nothing between us and the system that could be flushed.
            fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Tells the peer that no more will come. Reading goes on.
            fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(self.stream.close())
            }

            fn is_write_vectored(&self) -> bool {
                $is_vectored
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buffers: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.stream.poll_write_vectored(cx, buffers)
            }
        }
    )*};
}

// On Windows a Unix socket writes from the first buffer alone: hyper had better put them together.
traits!(TcpStream: true, &TcpStream: true, UnixStream: cfg!(unix), &UnixStream: cfg!(unix));
