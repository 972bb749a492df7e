//! Waiting for sockets and for a moment: an epoll instance with a timer in it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// Events that are taken at once.
const EVENTS: usize = 256;

/// Token of the timer, which asks for nothing to be done.
const TIMER: u64 = u64::MAX;

const NS_PER_S: u64 = 1_000_000_000;

/// Sockets, and the next moment.
#[derive(Debug)]
pub(super) struct Poller {
    epoll: OwnedFd,
    /// Armed with absolute times. A timeout of `epoll_wait` would be late by the thread's timer slack of 50 µs.
    timer: OwnedFd,
    armed: Option<u64>,
    /// Whether it looks again and again instead of sleeping.
    spin: bool,
}

/// Something that is ready.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ready {
    /// What it was added as.
    pub(super) token: u64,
    /// Whether nothing can be read or written any more.
    pub(super) gone: bool,
    /// Whether nothing more will come after what can be read.
    pub(super) ended: bool,
}

/// The machine's monotonic clock in nanoseconds.
pub(super) fn monotonic() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // It starts near zero and stays far below 584 years.
    time.tv_sec as u64 * NS_PER_S + time.tv_nsec as u64
}

/// Waits until `moment`, or until `stop` is readable or its other end is closed; true where that was so.
pub(super) fn stopped_before(stop: impl AsFd, moment: u64) -> io::Result<bool> {
    loop {
        let now = monotonic();
        let mut fds = [PollFd::new(&stop, PollFlags::IN)];
        match poll(&mut fds, Some(&timespec(moment.saturating_sub(now)))) {
            Ok(0) if monotonic() >= moment => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

impl Poller {
    pub(super) fn new(spin: bool) -> io::Result<Self> {
        let poller = Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            timer: timerfd_create(
                TimerfdClockId::Monotonic,
                TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
            )?,
            armed: None,
            spin,
        };
        // Told once for each time it goes off, so that it need not be read.
        poller.add_with(&poller.timer, TIMER, EventFlags::IN | EventFlags::ET)?;
        Ok(poller)
    }

    /// Tells of `source` for as long as there is something to read.
    pub(super) fn add(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        self.add_with(source, token, EventFlags::IN)
    }

    /// Tells of `source` each time that something comes to be read, or room to write.
    pub(super) fn add_edges(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        self.add_with(source, token, flags)
    }

    /// Waits until something is ready, and until `moment` at most, and adds to `ready` what is. One that spins does not
    /// wait.
    pub(super) fn wait(&mut self, moment: u64, ready: &mut Vec<Ready>) -> io::Result<()> {
        let at_once = timespec(0);
        let timeout = self.spin.then_some(&at_once);
        if timeout.is_none() && self.armed != Some(moment) {
            let value = Itimerspec {
                it_interval: timespec(0),
                // A value of zero would disarm it.
                it_value: timespec(moment.max(1)),
            };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &value)?;
            self.armed = Some(moment);
        }
        let nothing = Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(0),
        };
        let mut events = [nothing; EVENTS];
        let count = match epoll::wait(&self.epoll, &mut events[..], timeout) {
            Ok(count) => count,
            Err(rustix::io::Errno::INTR) => 0,
            Err(error) => return Err(error.into()),
        };
        let told = events[..count].iter().map(|event| Ready {
            token: event.data.u64(),
            gone: { event.flags }.intersects(EventFlags::ERR | EventFlags::HUP),
            ended: { event.flags }.contains(EventFlags::RDHUP),
        });
        ready.extend(told.filter(|ready| ready.token != TIMER));
        Ok(())
    }

    fn add_with(&self, source: impl AsFd, token: u64, flags: EventFlags) -> io::Result<()> {
        epoll::add(&self.epoll, source, EventData::new_u64(token), flags)?;
        Ok(())
    }
}

fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: (ns / NS_PER_S) as i64,
        tv_nsec: (ns % NS_PER_S) as i64,
    }
}
