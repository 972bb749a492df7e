//! A service for tests of containers: small, and ready at once.
//!
//! It listens on `PORT` (8080) of `HOST` (every address), and SIGTERM ends it with exit code 0. `FAIL=words` ends it before,
//! with these words and exit code 3; `DEAF` makes it pass over SIGTERM. `/env/NAME` answers with that variable, `/grow/N`
//! after it has taken N MiB more memory, and any other path with nothing.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<ExitCode> {
    if let Ok(words) = env::var("FAIL") {
        writeln!(io::stderr(), "{words}")?;
        return Ok(ExitCode::from(3));
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let host = env::var("HOST").unwrap_or_else(|_| "0.0.0.0".to_owned());
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("{host}:{port}")).await?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    writeln!(io::stdout(), "listening on {port} {}", arguments.join(" "))?;
    let deaf = env::var_os("DEAF").is_some();
    let mut memory = Vec::new();
    loop {
        tokio::select! {
            _ = terminate.recv() => if !deaf {
                writeln!(io::stdout(), "bye")?;
                return Ok(ExitCode::SUCCESS);
            },
            accepted = listener.accept() => {
                // One that hangs up early has no answer coming.
                let _ = serve(accepted?.0, &mut memory).await;
            }
        }
    }
}

/// Answers the requests of a connection, one after another.
async fn serve(mut stream: TcpStream, memory: &mut Vec<Vec<u8>>) -> io::Result<()> {
    let mut head = [0; 4096];
    let read = stream.read(&mut head).await?;
    let head = String::from_utf8_lossy(&head[..read]).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("/");
    let body = match path.split('/').collect::<Vec<_>>()[..] {
        ["", "env", name] => env::var(name).unwrap_or_default(),
        ["", "grow", mib] => {
            let bytes = mib.parse::<usize>().unwrap_or(0) << 20;
            // Written to, so that it is resident.
            memory.push(vec![1; bytes]);
            mib.to_owned()
        }
        ["", "never"] => return Ok(()),
        _ => String::new(),
    };
    let length = body.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await
}
