//! Ctrl-C, as people expect it: the first lets what is in flight end and prints, the second stops at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What has been asked for so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Nothing,
    ToFinish,
    ToStop,
}

/// Hears of interrupts. Clones hear of the same.
#[derive(Debug, Clone)]
pub struct Shutdown {
    asked: watch::Receiver<Asked>,
}

/// Work that was given up because of an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

impl Shutdown {
    /// Listens for SIGINT, SIGTERM and SIGHUP in a task of the current runtime, for as long as it lives.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        let mut signals = [
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ];
        let (sender, asked) = watch::channel(Asked::Nothing);
        tokio::spawn(async move {
            for step in [Asked::ToFinish, Asked::ToStop] {
                any(&mut signals).await;
                sender.send_replace(step);
            }
            // The state stays readable for as long as anybody listens.
            sender.closed().await;
        });
        Ok(Self { asked })
    }

    /// Waits for the first interrupt.
    pub async fn requested(&self) {
        self.reached(Asked::ToFinish).await;
    }

    /// Waits for the second.
    pub async fn insisted(&self) {
        self.reached(Asked::ToStop).await;
    }

    /// Whether there was one.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.asked.borrow() >= Asked::ToFinish
    }

    /// Does `work`, and gives it up at the first interrupt: it is dropped, and with it what it had started.
    ///
    /// # Errors
    /// When there was an interrupt, before or meanwhile.
    pub async fn unless_requested<T>(
        &self,
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        tokio::select! {
            biased;
            () = self.requested() => Err(Interrupted),
            done = work => Ok(done),
        }
    }

    async fn reached(&self, wanted: Asked) {
        let mut asked = self.asked.clone();
        if asked.wait_for(|&asked| asked >= wanted).await.is_err() {
            // Nobody listens for signals any more, so none will come.
            std::future::pending::<()>().await;
        }
    }
}

async fn any(signals: &mut [Signal; 3]) {
    let [interrupt, terminate, hangup] = signals;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
