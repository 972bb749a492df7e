//! `reference-seed`: migrates and fills the database of `DATABASE_URL`. Exit code 0, or 1 with the reason on stderr.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match store::seed::seed_from_env().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(
                clippy::print_stderr,
                reason = "a command tells the person who runs it why it failed"
            )]
            {
                eprintln!("error: {error}");
            }
            ExitCode::FAILURE
        }
    }
}
