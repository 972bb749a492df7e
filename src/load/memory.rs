//! What a worker keeps to render requests with: its walks, and room for what one request takes.

use url::Url;

use super::Plan;
use super::clock::Clock;
use super::queue::Job;
use super::walks::Walks;
use crate::scenario::{Beside, Content, Draw, RequestTemplate, Row, Unfilled};

/// What a worker keeps to render requests with.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) walks: Walks,
    rows: Vec<Row>,
    cookies: Vec<u8>,
    path: Vec<u8>,
}

impl Memory {
    /// What the request of `job` is rendered with beside its draws.
    ///
    /// # Errors
    /// When a feeder has no row for it.
    pub(super) fn beside<'m>(
        &'m mut self,
        plan: &Plan,
        clock: &Clock,
        job: &Job,
        request: &RequestTemplate,
    ) -> Result<Beside<'m>, Unfilled> {
        self.read_rows(plan, job, request)?;
        let Self {
            walks,
            rows,
            cookies,
            path,
        } = self;
        let beside = without_cookies(clock, job, request, rows, walks);
        cookies.clear();
        if request.cookies {
            let url = url(plan, request, &job.draw(plan, &beside), path)?;
            walks.cookies(job.walk, &url, cookies);
        }
        Ok(Beside { cookies, ..beside })
    }

    /// Keeps the cookies that `content`, the response to the request of `job`, sets.
    pub(super) fn keep_cookies(
        &mut self,
        plan: &Plan,
        clock: &Clock,
        job: &mut Job,
        request: &RequestTemplate,
        content: &Content,
    ) {
        if content.values("set-cookie").next().is_none() {
            return;
        }
        // The rows that the request was rendered with may be others' by now.
        let read = self.read_rows(plan, job, request);
        let Self {
            walks, rows, path, ..
        } = self;
        let beside = without_cookies(clock, job, request, rows, walks);
        let url = read.and_then(|()| url(plan, request, &job.draw(plan, &beside), path));
        if let Ok(url) = url {
            walks.keep_cookies(&mut job.walk, content, &url);
        }
    }

    /// Reads the rows that the request of `job` takes.
    fn read_rows(
        &mut self,
        plan: &Plan,
        job: &Job,
        request: &RequestTemplate,
    ) -> Result<(), Unfilled> {
        let wanted = &request.uses.feeders;
        if wanted.is_empty() {
            return Ok(());
        }
        let (feeders, walk) = (plan.scenario.feeders(), (plan.scenario.seed(), job.arrival));
        plan.given.read(feeders, wanted, walk, &mut self.rows)
    }
}

impl Job {
    /// Which request it is, with what is known `beside`.
    pub(super) fn draw<'m>(&self, plan: &Plan, beside: &'m Beside<'m>) -> Draw<'m> {
        Draw {
            seed: plan.scenario.seed(),
            arrival: self.arrival,
            step: self.at.step,
            round: self.at.round,
            beside,
        }
    }
}

/// What the request of `job` is rendered with, without the walk's cookies.
fn without_cookies<'m>(
    clock: &Clock,
    job: &Job,
    request: &RequestTemplate,
    rows: &'m [Row],
    walks: &'m Walks,
) -> Beside<'m> {
    let (now_ms, began_ms) = if request.uses.now {
        let now = clock.wall_ms(clock.now());
        (now, clock.wall_ms(job.arrival_due))
    } else {
        (0, 0)
    };
    Beside {
        now_ms,
        began_ms,
        rows,
        captured: walks.captured(job.walk),
        cookies: &[],
    }
}

/// Where `request` goes, without its query, as cookies know it; `path` is room to render into.
fn url(
    plan: &Plan,
    request: &RequestTemplate,
    draw: &Draw<'_>,
    path: &mut Vec<u8>,
) -> Result<Url, Unfilled> {
    path.clear();
    request.path.render(draw, path)?;
    let path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
    let mut url = plan.base.clone();
    url.set_path(&String::from_utf8_lossy(path));
    Ok(url)
}
