//! Requests, and answers compared whole.

use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No answer of a service takes longer: its own bounds are below.
const PATIENCE: Duration = Duration::from_secs(10);

/// One answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// All headers but `date` and `content-length`, which [`Request::send`] has checked.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// One request, sent by [`Request::send`].
#[derive(Debug)]
pub(crate) struct Request(reqwest::RequestBuilder);

impl Request {
    pub(crate) fn new(client: &reqwest::Client, method: &str, url: &str) -> Self {
        Self(
            client
                .request(method.parse().unwrap(), url)
                .timeout(PATIENCE),
        )
    }

    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    /// A body of `application/json`.
    pub(crate) fn json(self, body: &str) -> Self {
        self.header("content-type", "application/json").body(body)
    }

    pub(crate) fn body(self, body: &str) -> Self {
        Self(self.0.body(body.to_owned()))
    }

    pub(crate) async fn send(self) -> Answer {
        let response = self.0.send().await.unwrap();
        let status = response.status().as_u16();
        let mut headers = BTreeMap::new();
        for (name, value) in response.headers() {
            let earlier = headers.insert(name.to_string(), value.to_str().unwrap().to_owned());
            assert_eq!(earlier, None, "{name} was sent twice");
        }
        if matches!(status, 413 | 415) {
            // A service may close a connection whose body it did not read to the end, and has to say so.
            headers.remove("connection");
        }
        let body = response.text().await.unwrap();
        let date = headers
            .remove("date")
            .expect("an answer needs a date (RFC 9110, section 6.6.1)");
        assert!(date.ends_with(" GMT"), "{date}");
        assert_eq!(
            headers.remove("content-length"),
            Some(body.len().to_string()),
            "content-length"
        );
        Answer {
            status,
            headers,
            body,
        }
    }
}

impl Answer {
    /// Compares status, headers and body, byte by byte.
    pub(crate) fn is(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
        self.has_headers(headers);
    }

    /// A JSON answer, with these headers beside `content-type`.
    pub(crate) fn is_json(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        self.is(
            status,
            &[headers, &[("content-type", "application/json")]].concat(),
            body,
        );
    }

    /// An error body with this code and a request id, and these headers beside those that every error has.
    pub(crate) fn is_error_with(&self, status: u16, code: &str, headers: &[(&str, &str)]) {
        assert_eq!(self.status, status, "{}", self.body);
        let body = self.value();
        assert_eq!(body["error"]["code"], code, "{body}");
        assert!(
            body["error"]["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{body}"
        );
        assert!(
            body["request_id"].as_str().is_some_and(|id| !id.is_empty()),
            "{body}"
        );
        assert_eq!(
            self.body.matches("\":").count(),
            4,
            "more than the contract says: {body}"
        );
        let retry: &[(&str, &str)] = if status == 503 {
            &[("retry-after", "1")]
        } else {
            &[]
        };
        self.has_headers(&[headers, retry, &[("content-type", "application/json")]].concat());
    }

    pub(crate) fn is_error(&self, status: u16, code: &str) {
        self.is_error_with(status, code, &[]);
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn has_headers(&self, expected: &[(&str, &str)]) {
        let expected: BTreeMap<String, String> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(self.headers, expected);
    }
}

/// Sends `request` byte by byte as it stands, and returns all that comes until the service closes the connection.
pub(crate) async fn raw(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the connection stayed open")
        .unwrap();
    String::from_utf8(answer).unwrap()
}

/// Sends one command to the Redis of `url` (`redis://:password@127.0.0.1:6379/3`) and returns the texts and numbers of
/// the answer, a line for each.
pub(crate) async fn redis(url: &str, command: &str) -> String {
    let (server, database) = url
        .trim_start_matches("redis://")
        .split_once('/')
        .expect("the URL names a database");
    let (password, address) = server.split_once('@').unwrap_or_default();
    let address = if address.is_empty() { server } else { address };
    let password = password.trim_start_matches(':');
    let (login, greeting) = if password.is_empty() {
        (String::new(), "+OK\r\n")
    } else {
        (format!("AUTH {password}\r\n"), "+OK\r\n+OK\r\n")
    };
    let commands = format!("{login}SELECT {database}\r\n{command}\r\nQUIT\r\n");
    let answers = raw(address, &commands).await;
    let answer = answers
        .strip_prefix(greeting)
        .and_then(|answers| answers.strip_suffix("+OK\r\n"))
        .unwrap_or_else(|| panic!("{command}: {answers}"));
    let lines = answer.split_terminator("\r\n");
    let texts = lines.filter(|line| !line.starts_with(['$', '*']));
    let texts: Vec<&str> = texts.map(|line| line.trim_start_matches(':')).collect();
    texts.join("\n")
}
