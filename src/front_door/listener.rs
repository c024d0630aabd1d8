//! Connections with a bound: on how many there are, and on how long one may say nothing. Without it, clients that connect
//! and stay silent would hold file descriptors for ever.
//!
//! And the end of a port: [`Bounded::close`]. What becomes of the connections then is decided in `serving`.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

use super::wire::Wire;

/// How long handshakes that are under way when a port begins to close may take to be done: far more than a round trip
/// between a balancer and its host. Who asks for a connection meanwhile is not answered; it asks again after a second
/// and is refused.
const HANDSHAKE_MAX: Duration = Duration::from_millis(50);
/// Between two tries while the process has no file descriptor for a connection that waits.
const DESCRIPTORS_AGAIN: Duration = Duration::from_millis(50);

/// Accepts at most so many connections at once; the rest wait in the system's backlog.
pub struct Bounded {
    listener: TcpListener,
    room: Arc<Semaphore>,
    idle_max: Duration,
}

impl Bounded {
    pub fn new(listener: TcpListener, connections_max: usize, idle_max: Duration) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(connections_max)), idle_max }
    }

    /// Closes the port, and hands every connection that reached it to `take`: those that wait to be accepted and those
    /// whose handshake is under way. A plain close would reset them. Whoever comes later is refused.
    ///
    /// Takes [`HANDSHAKE_MAX`], and longer while there is no room for those that wait.
    pub async fn close(mut self, mut take: impl FnMut(Connection)) {
        if let Err(error) = refuse_handshakes(&self.listener) {
            tracing::debug!("handshakes cannot be refused before the port closes: {error}");
        }
        let handshakes = tokio::time::sleep(HANDSHAKE_MAX);
        tokio::pin!(handshakes);
        loop {
            tokio::select! {
                (connection, _) = self.accept() => take(connection),
                () = &mut handshakes => break,
            }
        }
        // The runtime may not know yet what the system does: the last ones are asked for directly.
        let Self { listener, room, idle_max } = self;
        let listener = match listener.into_std() {
            Ok(listener) => listener,
            Err(error) => return tracing::warn!("what waited at the port is lost: {error}"),
        };
        loop {
            let place = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept() {
                Ok((stream, _)) => match tokio_stream(stream) {
                    Ok(stream) => take(Connection::new(stream, idle_max, place)),
                    Err(error) => tracing::warn!("a connection is lost: {error}"),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // That one has gone by itself.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!("cannot accept what waits at the closing port: {error}");
                    tokio::time::sleep(DESCRIPTORS_AGAIN).await;
                }
            }
        }
    }
}

fn tokio_stream(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}

/// From here on the system begins no handshake for the port and ends those that it began: a filter (classic BPF) drops
/// segments with SYN and without ACK. It is given them from the TCP header on; its 14th byte has the flags (RFC 9293).
#[cfg(target_os = "linux")]
fn refuse_handshakes(listener: &TcpListener) -> io::Result<()> {
    use socket2::SockFilter;

    const FLAGS_AT: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    // linux/filter.h and bpf_common.h: what a program is made of.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    SockRef::from(listener).attach_filter(&[
        SockFilter::new(LOAD_BYTE, 0, 0, FLAGS_AT),
        SockFilter::new(AND, 0, 0, SYN | ACK),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ])
}

/// Elsewhere a handshake that is done between the last look at the port and its close is reset.
#[cfg(not(target_os = "linux"))]
fn refuse_handshakes(_: &TcpListener) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let room = self.room.clone().acquire_owned().await.expect("the semaphore is never closed");
        // axum's own listener sleeps over passing errors, such as a lack of file descriptors.
        let (stream, from) = Listener::accept(&mut self.listener).await;
        (Connection::new(stream, self.idle_max, room), from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when nothing is read or written for too long.
pub struct Connection {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    idle_max: Duration,
    wire: Arc<Wire>,
    _room: OwnedSemaphorePermit,
}

impl Connection {
    fn new(stream: TcpStream, idle_max: Duration, room: OwnedSemaphorePermit) -> Self {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!("cannot set TCP_NODELAY: {error}");
        }
        let silence = Box::pin(tokio::time::sleep(idle_max));
        Self { stream, silence, idle_max, wire: Arc::new(Wire::new(Instant::now())), _room: room }
    }

    /// What has come over it.
    pub fn wire(&self) -> Arc<Wire> {
        self.wire.clone()
    }

    /// Something has arrived that nobody has read; asked of the system itself.
    fn waits(&self) -> bool {
        matches!(SockRef::from(&self.stream).peek(&mut [MaybeUninit::uninit()]), Ok(1..))
    }

    fn heard<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            let until = Instant::now() + self.idle_max;
            self.silence.as_mut().reset(until);
            return poll;
        }
        match self.silence.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        match &poll {
            Poll::Ready(Ok(())) if buf.filled().len() > before => self.wire.has_heard(),
            Poll::Pending if self.wire.is_ending() => self.wire.has_looked(self.waits()),
            _ => {}
        }
        self.heard(cx, poll)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.heard(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.heard(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Far longer than a handshake on the loopback interface takes.
    const A_WHILE: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_port_that_refuses_handshakes_keeps_the_connections_that_it_has() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = TcpStream::connect(address).await.unwrap();
        refuse_handshakes(&listener).unwrap();
        let late = tokio::time::timeout(A_WHILE, TcpStream::connect(address)).await;
        assert!(late.is_err(), "no handshake begins: {late:?}");
        let (mut accepted, _) = listener.accept().await.unwrap();
        waiting.write_all(b"asked").await.unwrap();
        waiting.shutdown().await.unwrap();
        let mut heard = String::new();
        accepted.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "asked");
    }
}
