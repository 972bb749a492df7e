//! The least that can measure: a kernel timer, one blocking socket, one request after the other.
//!
//! `bare-loop ADDRESS RATE SECONDS` prints p50 and p99 of done − due in microseconds, and p99 of how late it woke. What tailmark reports for a
//! server that answers at once is held against this by `scripts/bench-peers`: the difference is what tailmark adds.
#![allow(
    clippy::print_stdout,
    reason = "printing the result is what the program is for"
)]

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// The longest loop, so that it ends by itself.
const MOST_REQUESTS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, rate, seconds] = &words[..] else {
        return Err("usage: bare-loop ADDRESS RATE SECONDS".into());
    };
    let (rate, seconds): (u64, u64) = (rate.parse()?, seconds.parse()?);
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let mut buffer = [0; 4096];
    let (mut times, mut lates) = (Vec::new(), Vec::new());
    let start = now() + 10_000_000;
    for k in 0..(rate * seconds).min(MOST_REQUESTS) {
        let due = start + k * 1_000_000_000 / rate;
        let zero = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let value = Itimerspec {
            it_interval: zero,
            it_value: Timespec {
                tv_sec: (due / 1_000_000_000) as i64,
                tv_nsec: (due % 1_000_000_000) as i64,
            },
        };
        timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &value)?;
        rustix::io::read(&timer, &mut buffer[..8])?;
        lates.push(now() - due);
        stream.write_all(request.as_bytes())?;
        // The server's answers are small and come in one piece.
        if stream.read(&mut buffer)? == 0 {
            return Err("the server closed the connection".into());
        }
        times.push(now() - due);
    }
    let at = |times: &mut Vec<u64>, q: f64| {
        times.sort_unstable();
        times[((q * times.len() as f64).ceil() as usize).max(1) - 1] as f64 / 1e3
    };
    println!(
        "p50 {:.1} p99 {:.1} late {:.1}",
        at(&mut times, 0.5),
        at(&mut times, 0.99),
        at(&mut lates, 0.99)
    );
    Ok(())
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
