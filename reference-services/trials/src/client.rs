//! A client that a failing service does not stop: it tells what came, or that nothing did.

use std::time::{Duration, Instant};

use conformance::Service;
use serde_json::Value;

/// Longer than any answer may take: five seconds for the statements of a request, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a service may take to recover once its stores are back.
const RECOVERY: Duration = Duration::from_secs(20);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) cache: Option<String>,
    pub(crate) replayed: bool,
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

impl Answer {
    /// A 503 of the contract, which names a time to try again.
    pub(crate) fn is_unavailable(&self, code: &str) {
        assert_eq!(self.status, 503, "{self:?}");
        let body: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body["error"]["code"], code, "{self:?}");
        assert!(self.retry_after >= Some(1), "{self:?}");
    }

    pub(crate) fn came_within(&self, bound: Duration) {
        assert!(self.took < bound, "{self:?}");
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

impl Client {
    pub(crate) fn of(service: &Service) -> Self {
        Self {
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(PATIENCE)
                .build()
                .unwrap(),
            base: format!("http://{}", service.address),
            token: None,
        }
    }

    /// The same, with a token of `user-1`.
    pub(crate) async fn signed_in(mut self) -> Self {
        let credentials = r#"{"user":"user-1","password":"secret-1"}"#;
        let session = self
            .send("POST", "/v1/sessions", &[], Some(credentials))
            .await;
        let session: Value = serde_json::from_str(&session.unwrap().body).unwrap();
        self.token = Some(session["token"].as_str().unwrap().to_owned());
        self
    }

    /// None where no whole answer came.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Option<Answer> {
        let start = Instant::now();
        let url = format!("{}{path}", self.base);
        let mut request = self.http.request(method.parse().unwrap(), url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        let response = request.send().await.ok()?;
        let header = |name: &str| {
            let value = response.headers().get(name)?.to_str().unwrap();
            Some(value.to_owned())
        };
        Some(Answer {
            status: response.status().as_u16(),
            cache: header("x-cache"),
            replayed: header("idempotency-replayed").is_some(),
            retry_after: header("retry-after").map(|value| value.parse().unwrap()),
            body: response.text().await.ok()?,
            took: start.elapsed(),
        })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], None).await.unwrap()
    }

    /// Orders a transfer of one minor unit.
    pub(crate) async fn transfer(&self, key: &str, order: &str) -> Option<Answer> {
        let key = [("idempotency-key", key)];
        self.send("POST", "/v1/transfers", &key, Some(order)).await
    }

    /// Asks for `path` until the answer is as it `should` be.
    pub(crate) async fn until(&self, path: &str, should: impl Fn(&Answer) -> bool) {
        let deadline = Instant::now() + RECOVERY;
        loop {
            let answer = self.send("GET", path, &[], None).await;
            if answer.as_ref().is_some_and(&should) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{path} has not recovered: {answer:?}"
            );
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The body of an order.
pub(crate) fn order(from: u64, to: u64) -> String {
    format!(r#"{{"from":{from},"to":{to},"amount_minor":1,"currency":"EUR"}}"#)
}
