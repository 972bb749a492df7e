//! What runs in the containers of `tests/cgroup.rs`: it takes memory and CPU time as it is told, one line at a time, and answers
//! `done` to each. Built by the test itself, static, so that it needs nothing else in its image.

use std::io::{BufRead, Write};
use std::process::Command;
use std::time::{Duration, Instant};

fn main() {
    let mut words = std::env::args().skip(1);
    if let Some(bytes) = words.next() {
        // A child, which takes so much and ends.
        let memory = allocate(&bytes);
        std::process::exit(i32::from(memory.is_empty()));
    }
    let mut memory: Vec<u8> = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let words: Vec<&str> = line.split(' ').collect();
        let mut answer = "done".to_owned();
        match words[..] {
            ["allocate", bytes] => memory = allocate(bytes),
            ["free"] => drop(std::mem::take(&mut memory)),
            ["spike", bytes, ms] => {
                let spike = allocate(bytes);
                std::thread::sleep(milliseconds(ms));
                drop(spike);
            }
            ["spin", ms] => {
                let end = Instant::now() + milliseconds(ms);
                while Instant::now() < end {
                    std::hint::spin_loop();
                }
            }
            ["child", bytes] => {
                let status = Command::new("/hungry").arg(bytes).status();
                answer = format!("done {}", status.expect("a child"));
            }
            _ => panic!("unknown command {line}"),
        }
        let mut output = std::io::stdout().lock();
        writeln!(output, "{answer} {}", memory.len()).expect("somebody listens");
        output.flush().expect("somebody listens");
    }
}

/// Written to, so that it is resident.
fn allocate(bytes: &str) -> Vec<u8> {
    vec![1; bytes.parse().expect("a number of bytes")]
}

fn milliseconds(text: &str) -> Duration {
    Duration::from_millis(text.parse().expect("milliseconds"))
}
