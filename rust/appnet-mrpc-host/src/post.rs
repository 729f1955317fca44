use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{sync_channel, SyncSender};
use std::thread;
use std::time::Duration;

use crate::error::Error;

const MOST_WAITING: usize = 16;
const PATIENCE: Duration = Duration::from_secs(2);

/// Where OTLP has records.
pub const LOGS: &str = "/v1/logs";
/// Where it has counts.
pub const METRICS: &str = "/v1/metrics";

/// Sends records and counts to a collector by OTLP over HTTP, in a thread of its own. What the collector does not take is lost: calls
/// go on without it.
#[derive(Debug)]
pub struct Poster {
    batches: SyncSender<(&'static str, Vec<u8>)>,
}

impl Poster {
    /// Sends to `HOST:PORT`. The thread ends when the poster goes and all is sent.
    pub fn new(collector: &str) -> Result<Poster, Error> {
        let (batches, waiting) = sync_channel::<(&'static str, Vec<u8>)>(MOST_WAITING);
        let collector = collector.to_owned();
        let work = move || {
            for (path, batch) in waiting {
                let _ = post(&collector, path, &batch);
            }
        };
        thread::Builder::new().name("appnet-records".into()).spawn(work)?;
        Ok(Poster { batches })
    }

    /// Sends a batch, unless it is empty, or so many wait already that the collector must be away.
    pub fn send(&self, path: &'static str, batch: Vec<u8>) {
        if !batch.is_empty() {
            let _ = self.batches.try_send((path, batch));
        }
    }
}

fn post(collector: &str, path: &str, batch: &[u8]) -> std::io::Result<()> {
    let mut last = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in collector.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return deliver(stream, collector, path, batch),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn deliver(mut stream: TcpStream, collector: &str, path: &str, batch: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let size = batch.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {collector}\r\ncontent-type: application/x-protobuf\r\n\
         content-length: {size}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(batch)?;
    let mut answer = [0; 512];
    while stream.read(&mut answer)? > 0 {}
    Ok(())
}
