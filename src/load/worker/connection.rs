//! A connection's life in a worker: open, exchange while there are jobs, rest, and be replaced when the peer closes it.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use http::header::HOST;
use rustix::io::Errno;

use super::Worker;
use crate::exchange::Outcome;
use crate::load::http1::{self, Connection};
use crate::load::queue::Job;
use crate::scenario::Step;

/// Why an idle connection's task goes on.
enum Roused {
    Job(Job),
    Closed,
}

/// New connections that are tried for one exchange before it ends as a connect error: one may be closed by bad luck, as
/// when the target restarts; a target that closes every one would otherwise be connected to for ever.
const MOST_STILLBORN: u32 = 3;

impl Worker {
    /// A connection's life: open, exchange while there are jobs, rest, and be replaced when the peer closes it.
    pub(super) async fn connection(self: Rc<Self>, id: usize) {
        // A job that found its connection closed before anything was written; it goes with the next one.
        let mut kept: Option<Job> = None;
        let mut replaced = false;
        // Connections in a row that were closed before anything could be written to them.
        let mut stillborn = 0;
        while let Some(mut connection) = self.connect(id, &mut kept, replaced).await {
            replaced = true;
            let mut next = kept.take().or_else(|| self.state.borrow_mut().next_job(id));
            self.quiet.notify_one();
            let go_on = loop {
                let job = match next {
                    Some(job) => job,
                    None => match self.rest(id, &mut connection).await {
                        Roused::Job(job) => job,
                        // One that never carried anything is not replaced: its peer may close every connection
                        // at once, and we would open them for ever.
                        Roused::Closed => break connection.was_used(),
                    },
                };
                if !self.exchange(id, job, &mut connection).await {
                    stillborn = if connection.was_used() {
                        0
                    } else {
                        stillborn + 1
                    };
                    if stillborn < MOST_STILLBORN {
                        kept = Some(job);
                        break true;
                    }
                    self.give_up(id, &job);
                    break false;
                }
                stillborn = 0;
                if !connection.is_reusable().await {
                    break false;
                }
                next = self.state.borrow_mut().next_job(id);
                self.quiet.notify_one();
            };
            self.count_bytes(&connection);
            if !go_on {
                break;
            }
            self.state.borrow_mut().opening += 1;
        }
        self.state.borrow_mut().free.push(id);
        self.quiet.notify_one();
        // Jobs may wait for the place that has become free.
        self.pump();
    }

    /// Opens a connection. Where that fails, the job that has waited longest ends as a connect error, and the next
    /// one gets its own try; none is returned when no job is left.
    async fn connect(
        self: &Rc<Self>,
        id: usize,
        kept: &mut Option<Job>,
        replaced: bool,
    ) -> Option<Connection> {
        let plan = &self.plan;
        loop {
            let begun = self.clock.now();
            let timeout = plan.scenario.connections().connect_timeout;
            let opened = Connection::open(plan.address, timeout, &self.clock).await;
            let now = self.clock.now();
            let error = match opened {
                Ok(connection) => {
                    let state = &mut *self.state.borrow_mut();
                    state.opening -= 1;
                    state.opened += 1;
                    state.reopened += u64::from(replaced);
                    state.connect.record(now.saturating_sub(begun));
                    return Some(connection);
                }
                Err(error) => error,
            };
            let job = {
                let state = &mut *self.state.borrow_mut();
                state.ran_out = state.ran_out.take().or_else(|| exhausted(&error));
                let job = kept
                    .take()
                    .or_else(|| if state.over { None } else { state.queue.pop() });
                state.end(id);
                if job.is_none() || state.queue.is_empty() {
                    state.opening -= 1;
                }
                job
            };
            let done = job.inspect(|job| {
                self.absorb(job, None, now, Outcome::ConnectError, None, || {
                    format!("connecting: {error}")
                });
            });
            if done.is_none() || self.state.borrow().queue.is_empty() {
                return None;
            }
        }
    }

    /// Ends a job whose connections were all closed before anything could be written.
    fn give_up(self: &Rc<Self>, id: usize, job: &Job) {
        self.state.borrow_mut().end(id);
        self.absorb(
            job,
            None,
            self.clock.now(),
            Outcome::ConnectError,
            None,
            || format!("{MOST_STILLBORN} new connections were closed before anything was sent"),
        );
    }

    /// Carries out one exchange and absorbs it; false where the connection turned out closed before a byte was
    /// written, so that the job is still to be done.
    async fn exchange(self: &Rc<Self>, id: usize, job: Job, connection: &mut Connection) -> bool {
        let plan = &self.plan;
        self.state.borrow_mut().slots[id].flight =
            Some((job, Some(Rc::clone(connection.stamps()))));
        let step = plan.step(&job);
        let request = self.request(step, &job);
        let answer = connection.exchange(request, plan.scenario.timeout()).await;
        let (outcome, status) = match &answer.result {
            Ok(status) if step.expect.contains(*status) => (Outcome::Ok, Some(*status)),
            Ok(status) => (Outcome::StatusError, Some(*status)),
            Err(http1::Failure::Timeout) => (Outcome::Timeout, None),
            Err(_) if answer.sent.is_none() => return false,
            Err(http1::Failure::Reset(_)) => (Outcome::Reset, None),
            Err(http1::Failure::Protocol(_)) => (Outcome::ProtocolError, None),
        };
        self.count_bytes(connection);
        self.state.borrow_mut().end(id);
        self.absorb(
            &job,
            answer.sent,
            answer.done,
            outcome,
            status,
            || match &answer.result {
                Ok(status) => status.to_string(),
                Err(http1::Failure::Timeout) => "no complete response in time".into(),
                Err(http1::Failure::Reset(words) | http1::Failure::Protocol(words)) => {
                    words.clone()
                }
            },
        );
        true
    }

    /// Waits, idle, for a job or for the end of the connection.
    async fn rest(&self, id: usize, connection: &mut Connection) -> Roused {
        poll_fn(|context| {
            let state = &mut *self.state.borrow_mut();
            let slot = &mut state.slots[id];
            if let Some(job) = slot.given.take() {
                return Poll::Ready(Roused::Job(job));
            }
            slot.waker = Some(context.waker().clone());
            if connection.poll_closed(context).is_ready() {
                state.idle.retain(|&idle| idle != id);
                return Poll::Ready(Roused::Closed);
            }
            Poll::Pending
        })
        .await
    }

    fn request(&self, step: &Step, job: &Job) -> http1::Request {
        let template = &step.request;
        let draw = self.plan.draw(job);
        let mut text = Vec::new();
        template.path.render(&draw, &mut text);
        let mut request = http::Request::builder()
            .method(&template.method)
            .uri(text.as_slice());
        if !template.headers.iter().any(|(name, _)| *name == HOST) {
            request = request.header(HOST, self.plan.host.clone());
        }
        for (name, value) in &template.headers {
            text.clear();
            value.render(&draw, &mut text);
            request = request.header(name, text.as_slice());
        }
        let body = template.body.as_ref().map_or_else(Vec::new, |body| {
            let mut text = Vec::new();
            body.render(&draw, &mut text);
            text
        });
        request
            .body(body.into())
            .expect("a scenario's templates render valid requests")
    }
}

/// What tailmark has run out of, where that is why it cannot connect.
fn exhausted(error: &io::Error) -> Option<String> {
    match error.raw_os_error().map(Errno::from_raw_os_error)? {
        Errno::MFILE | Errno::NFILE => Some("descriptors (ulimit -n)".into()),
        Errno::ADDRNOTAVAIL => Some("local ports for this target".into()),
        _ => None,
    }
}
