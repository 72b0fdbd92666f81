//! A TCP proxy on loopback that breaks the network on demand: cut, delay, silence.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes moved at a time.
const CHUNK: usize = 16 * 1024;

/// What the network does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weather {
    /// Connections made before the last cut are dead.
    cuts: u64,
    /// New connections are closed at once.
    refusing: bool,
    /// Bytes are read and thrown away, both ways, and nobody is told.
    silent: bool,
    /// Added to each chunk, each way.
    delay: Duration,
}

/// A proxy from a port of its own to `upstream`.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    task: JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a proxy to a port on 127.0.0.1.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(upstream_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let calm = Weather {
            cuts: 0,
            refusing: false,
            silent: false,
            delay: Duration::ZERO,
        };
        let (weather, seen) = watch::channel(calm);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !seen.borrow().refusing {
                    tokio::spawn(carry(client, upstream_port, seen.clone()));
                }
            }
        });
        Self { address, weather, task }
    }

    /// The port to connect to, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Drops all connections, in the middle of whatever they do.
    pub fn cut(&self) {
        self.weather.send_modify(|weather| weather.cuts += 1);
    }

    /// Refuses new connections (`true`) and drops the present ones, or lets them through again.
    pub fn refuse(&self, refusing: bool) {
        self.weather.send_modify(|weather| {
            weather.refusing = refusing;
            weather.cuts += u64::from(refusing);
        });
    }

    /// Swallows everything both ways (`true`) while connections stay open, or stops to; what was swallowed is lost, so
    /// connections that lived through it are cut when it ends.
    pub fn silence(&self, silent: bool) {
        self.weather.send_modify(|weather| {
            weather.cuts += u64::from(weather.silent && !silent);
            weather.silent = silent;
        });
    }

    /// Delays each chunk by this much, each way.
    pub fn delay(&self, delay: Duration) {
        self.weather.send_modify(|weather| weather.delay = delay);
    }

    /// Cuts every `period` until the returned task is aborted or the proxy is gone.
    pub fn cut_every(&self, period: Duration) -> JoinHandle<()> {
        let weather = self.weather.clone();
        tokio::spawn(async move {
            while !weather.is_closed() {
                tokio::time::sleep(period).await;
                weather.send_modify(|weather| weather.cuts += 1);
            }
        })
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

async fn carry(client: TcpStream, upstream_port: u16, mut seen: watch::Receiver<Weather>) {
    let cuts = seen.borrow().cuts;
    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream_port)).await else {
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        () = pump(client_read, server_write, seen.clone()) => {}
        () = pump(server_read, client_write, seen.clone()) => {}
        _ = seen.wait_for(|weather| weather.cuts != cuts) => {}
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    seen: watch::Receiver<Weather>,
) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(n @ 1..) = from.read(&mut chunk).await {
        let weather = *seen.borrow();
        if weather.silent {
            continue;
        }
        if !weather.delay.is_zero() {
            tokio::time::sleep(weather.delay).await;
        }
        if to.write_all(&chunk[..n]).await.is_err() {
            return;
        }
    }
}
