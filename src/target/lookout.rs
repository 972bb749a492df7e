//! When a service listens and answers, seen from outside by a thread that looks some thousand times a second.
//!
//! It stays that close for the time in which most services start, and looks less often after that. A look at a port on which
//! nobody listens costs some 20 µs.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::command::{ATTEMPT_WITHIN, Readiness, late};
use crate::target_spec;

/// The pauses between looks: while a quick service starts, while a slow one does, and beyond.
const PAUSES: [(Duration, Duration); 2] = [
    (Duration::from_secs(1), Duration::from_micros(200)),
    (Duration::from_secs(10), Duration::from_millis(1)),
];
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

/// Something that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sighting {
    /// When.
    pub(super) at: Instant,
    /// How much earlier it may have been so: since the look before, which was in vain.
    pub(super) blind: Duration,
}

/// What was seen of a service.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// It accepted a connection.
    pub(super) listening: Option<Sighting>,
    /// It answered with a status of 2xx.
    pub(super) answered: Option<Sighting>,
    /// Why the last look was in vain.
    failure: String,
}

/// A thread that looks at a service. When this is dropped, it ends with the look that it is at.
#[derive(Debug)]
pub(super) struct Lookout {
    address: SocketAddr,
    seen: watch::Receiver<Seen>,
    over: Arc<AtomicBool>,
}

impl Lookout {
    /// Looks from now on whether somebody listens at `address`, which nobody did at `since`, and then, where there is a
    /// `path`, whether that is answered with a status of 2xx.
    pub(super) fn at(address: SocketAddr, path: Option<&str>, since: Instant) -> io::Result<Self> {
        let (sender, seen) = watch::channel(Seen::default());
        let over = Arc::new(AtomicBool::new(false));
        let look = Look {
            address,
            path: path.map(str::to_owned),
            begun: Instant::now(),
            seen: sender,
            over: Arc::clone(&over),
        };
        std::thread::Builder::new()
            .name("lookout".to_owned())
            .spawn(move || look.run(since))?;
        Ok(Self {
            address,
            seen,
            over,
        })
    }

    /// What has been seen.
    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until it is as `ready` says, `ended` returns, or the time is up that began at `started`.
    pub(super) async fn await_ready(
        &self,
        ended: impl AsyncFn(),
        ready: &target_spec::Ready,
        started: Instant,
    ) -> Readiness {
        let mut seen = self.seen.clone();
        let is_ready = |seen: &Seen| match &ready.path {
            Some(_) => seen.answered.is_some(),
            None => seen.listening.is_some(),
        };
        let left = ready.within.saturating_sub(started.elapsed());
        let outcome = tokio::select! {
            () = ended() => return Readiness::Ended,
            outcome = tokio::time::timeout(left, seen.wait_for(is_ready)) => outcome.is_ok_and(|seen| seen.is_ok()),
        };
        match outcome {
            true => Readiness::Ready,
            false => late(ready, self.address, &self.seen().failure),
        }
    }
}

impl Drop for Lookout {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// The thread's own side.
struct Look {
    address: SocketAddr,
    path: Option<String>,
    begun: Instant,
    seen: watch::Sender<Seen>,
    over: Arc<AtomicBool>,
}

impl Look {
    fn run(&self, since: Instant) {
        let connected = self.until_seen(since, || connect(self.address));
        let Some((stream, listening)) = connected else {
            return;
        };
        self.seen
            .send_modify(|seen| seen.listening = Some(listening));
        let Some(path) = &self.path else { return };
        // The connection that was accepted is asked first.
        let mut accepted = Some(stream);
        let answered = self.until_seen(listening.at, || {
            let stream = match accepted.take() {
                Some(stream) => stream,
                None => connect(self.address)?,
            };
            ask(stream, self.address, path)
        });
        if let Some(((), answered)) = answered {
            self.seen.send_modify(|seen| seen.answered = Some(answered));
        }
    }

    /// Looks again and again until there is something to see, or it is over. At `since` there was nothing.
    fn until_seen<T>(
        &self,
        since: Instant,
        mut look: impl FnMut() -> Result<T, String>,
    ) -> Option<(T, Sighting)> {
        let mut before = since;
        while !self.over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            match look() {
                Ok(found) => {
                    let at = Instant::now();
                    let blind = begun.saturating_duration_since(before);
                    return Some((found, Sighting { at, blind }));
                }
                Err(failure) => self.seen.send_modify(|seen| seen.failure = failure),
            }
            before = begun;
            let elapsed = self.begun.elapsed();
            let pause = PAUSES.iter().find(|(until, _)| elapsed < *until);
            std::thread::sleep(pause.map_or(LONGEST_PAUSE, |(_, pause)| *pause));
        }
        None
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let said = |error: io::Error| error.kind().to_string();
    let stream = TcpStream::connect_timeout(&address, ATTEMPT_WITHIN).map_err(said)?;
    // While nobody listens on a port, TCP can connect it to itself (RFC 9293, section 3.5).
    if stream.local_addr().map_err(said)? == address {
        return Err(io::ErrorKind::ConnectionRefused.to_string());
    }
    stream
        .set_read_timeout(Some(ATTEMPT_WITHIN))
        .map_err(said)?;
    stream
        .set_write_timeout(Some(ATTEMPT_WITHIN))
        .map_err(said)?;
    Ok(stream)
}

/// Asks for `path`; an error is any answer but 2xx.
fn ask(mut stream: TcpStream, host: SocketAddr, path: &str) -> Result<(), String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let mut start = [0; "HTTP/1.1 200".len()];
    let asked = stream.write_all(request.as_bytes());
    asked
        .and_then(|()| stream.read_exact(&mut start))
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer".to_owned(),
            kind => kind.to_string(),
        })?;
    match start
        .strip_prefix(b"HTTP/1.1 ")
        .or(start.strip_prefix(b"HTTP/1.0 "))
    {
        Some([b'2', _, _]) => Ok(()),
        Some(status) => Err(String::from_utf8_lossy(status).into_owned()),
        None => Err("this is no HTTP".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn ready(path: Option<&str>) -> target_spec::Ready {
        target_spec::Ready {
            path: path.map(str::to_owned),
            within: PATIENCE,
        }
    }

    async fn never() {
        std::future::pending::<()>().await;
    }

    /// Answers one connection after another with these statuses.
    fn answer(listener: TcpListener, statuses: &'static [&'static str]) {
        std::thread::spawn(move || {
            for status in statuses {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).unwrap();
                let _ = write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
            }
        });
    }

    #[tokio::test]
    async fn listening_and_the_first_good_answer_are_two_moments() {
        let address = super::super::command::free_address().unwrap();
        let since = Instant::now();
        let lookout = Lookout::at(address, Some("/readyz"), since).unwrap();
        while lookout.seen().failure.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(lookout.seen().listening, None);
        assert!(lookout.seen().failure.contains("refused"));
        let bound = Instant::now();
        answer(TcpListener::bind(address).unwrap(), &["503", "404", "204"]);
        let ready = ready(Some("/readyz"));
        let readiness = lookout.await_ready(never, &ready, since).await;
        assert!(matches!(readiness, Readiness::Ready));
        let Seen {
            listening: Some(listening),
            answered: Some(answered),
            failure,
        } = lookout.seen()
        else {
            panic!("{:?}", lookout.seen());
        };
        assert!(listening.at >= bound && answered.at >= listening.at);
        assert!(listening.at - listening.blind <= Instant::now());
        // Two answers were in vain before, a pause apart.
        assert!(answered.blind >= PAUSES[0].1, "{answered:?}");
        assert_eq!(failure, "404");
    }

    #[tokio::test]
    async fn what_listened_before_the_first_look_may_have_listened_ever_since() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let since = Instant::now();
        std::thread::sleep(Duration::from_millis(5));
        let lookout = Lookout::at(listener.local_addr().unwrap(), None, since).unwrap();
        lookout.await_ready(never, &ready(None), since).await;
        let listening = lookout.seen().listening.unwrap();
        assert!(listening.blind >= Duration::from_millis(5), "{listening:?}");
        assert!(listening.at - listening.blind >= since);
    }

    #[tokio::test]
    async fn an_end_or_the_end_of_patience_ends_it() {
        let address = super::super::command::free_address().unwrap();
        let lookout = Lookout::at(address, Some("/"), Instant::now()).unwrap();
        let patient = ready(Some("/"));
        let ended = lookout.await_ready(async || {}, &patient, Instant::now());
        assert!(matches!(ended.await, Readiness::Ended));
        let ready = target_spec::Ready {
            path: Some("/".to_owned()),
            within: Duration::from_millis(50),
        };
        let late = lookout.await_ready(never, &ready, Instant::now()).await;
        let Readiness::Late(words) = late else {
            panic!("nobody listens there");
        };
        assert_eq!(words, "GET / → connection refused");
    }
}
