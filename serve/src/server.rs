//! Listens: so many connections at once, heads and bodies that come in time, and an end that lets answers be finished.
use crate::app::{Settings, router};
use crate::patient::Patient;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use muse_inference::Model;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How long the head of a request may take to come.
const HEAD: Duration = Duration::from_secs(15);
/// How long somebody may neither read nor take what is written to them.
const PATIENCE: Duration = Duration::from_secs(60);
/// Threads that talk; the model has its own.
const THREADS: usize = 2;

/// A place that is listened at.
pub struct Server {
    listener: TcpListener,
    stop: watch::Sender<End>,
}

/// Ends a server, from anywhere.
#[derive(Clone)]
pub struct Stop(watch::Sender<End>);

/// How it is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// Not yet.
    Never,
    /// When all have their answers.
    Done,
    /// At once.
    Now,
}

impl Stop {
    /// Takes no more connections, and lets those that are there have their answers.
    pub fn stop(&self) {
        self.0.send_modify(|end| *end = End::Done.max(*end));
    }

    /// Waits for no answer any more.
    pub fn stop_now(&self) {
        self.0.send_replace(End::Now);
    }
}

impl Server {
    /// Takes hold of an address. Port 0 is any that is free.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, stop: watch::Sender::new(End::Never) })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What ends it.
    pub fn stopper(&self) -> Stop {
        Stop(self.stop.clone())
    }

    /// Serves until it is stopped, and then for `grace` at most. Answers whether all were done by then.
    pub fn run(self, model: Model, settings: Settings) -> io::Result<bool> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
        let grace = settings.grace;
        let done = runtime.block_on(self.serve(model, settings));
        // What is left has had its time.
        runtime.shutdown_timeout(Duration::from_millis(if grace.is_zero() { 0 } else { 100 }));
        done
    }

    async fn serve(self, model: Model, settings: Settings) -> io::Result<bool> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let room = Arc::new(Semaphore::new(settings.connections));
        let (grace, mut stopped) = (settings.grace, self.stop.subscribe());
        let service = TowerToHyperService::new(router(model, settings));
        let graceful = GracefulShutdown::new();
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 << 10);
        loop {
            // Whoever finds no room waits in the system's queue.
            let place = tokio::select! {
                place = Arc::clone(&room).acquire_owned() => place.map_err(io::Error::other)?,
                _ = stopped.wait_for(|end| *end > End::Never) => break,
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopped.wait_for(|end| *end > End::Never) => break,
            };
            let Ok((stream, _)) = accepted else {
                // One that went away at once, or too many open files: there is nobody to tell.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            // Pieces of a text are small, and wanted now.
            let _ = stream.set_nodelay(true);
            let io = TokioIo::new(Patient::new(stream, PATIENCE));
            let connection = graceful.watch(http.serve_connection(io, service.clone()));
            tokio::spawn(async move {
                let _ = connection.await;
                drop(place);
            });
        }
        drop(listener);
        tokio::select! {
            done = tokio::time::timeout(grace, graceful.shutdown()) => Ok(done.is_ok()),
            _ = stopped.wait_for(|end| *end == End::Now) => Ok(false),
        }
    }
}
