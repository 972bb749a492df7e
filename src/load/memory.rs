//! What a worker keeps to render requests with: its walks, and room for what one request takes.

use url::Url;

use super::Plan;
use super::clock::Clock;
use super::queue::Job;
use super::walks::Walks;
use crate::scenario::{Content, Draw, RequestTemplate, Row, Unfilled};

/// What a worker keeps to render requests with.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) walks: Walks,
    rows: Vec<Row>,
    cookies: Vec<u8>,
    path: Vec<u8>,
}

impl Memory {
    /// What the request of `job` is rendered with.
    ///
    /// # Errors
    /// When a feeder has no row for it.
    pub(super) fn draw<'m>(
        &'m mut self,
        plan: &Plan,
        clock: &Clock,
        job: &Job,
        request: &RequestTemplate,
    ) -> Result<Draw<'m>, Unfilled> {
        let (seed, uses) = (plan.scenario.seed(), &request.uses);
        if !uses.feeders.is_empty() {
            let (feeders, walk) = (plan.scenario.feeders(), (seed, job.arrival));
            plan.given
                .read(feeders, &uses.feeders, walk, &mut self.rows)?;
        }
        self.cookies.clear();
        if request.cookies {
            let url = self.url(plan, clock, job, request)?;
            self.walks.cookies(job.walk, &url, &mut self.cookies);
        }
        let now_ms = if uses.now {
            clock.wall_ms(clock.now())
        } else {
            0
        };
        Ok(Draw {
            seed,
            arrival: job.arrival,
            step: job.at.step,
            round: job.at.round,
            now_ms,
            began_ms: clock.wall_ms(job.arrival_due),
            rows: &self.rows,
            captured: self.walks.captured(job.walk),
            cookies: &self.cookies,
        })
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
        let (feeders, walk) = (plan.scenario.feeders(), (plan.scenario.seed(), job.arrival));
        let read = plan
            .given
            .read(feeders, &request.uses.feeders, walk, &mut self.rows);
        if let Ok(url) = read.and_then(|()| self.url(plan, clock, job, request)) {
            self.walks.keep_cookies(&mut job.walk, content, &url);
        }
    }

    fn url(
        &mut self,
        plan: &Plan,
        clock: &Clock,
        job: &Job,
        request: &RequestTemplate,
    ) -> Result<Url, Unfilled> {
        self.path.clear();
        let draw = Draw {
            seed: plan.scenario.seed(),
            arrival: job.arrival,
            step: job.at.step,
            round: job.at.round,
            now_ms: 0,
            began_ms: clock.wall_ms(job.arrival_due),
            rows: &self.rows,
            captured: self.walks.captured(job.walk),
            cookies: &[],
        };
        request.path.render(&draw, &mut self.path)?;
        let path = self
            .path
            .split(|&byte| byte == b'?')
            .next()
            .unwrap_or_default();
        let mut url = plan.base.clone();
        url.set_path(&String::from_utf8_lossy(path));
        Ok(url)
    }
}
