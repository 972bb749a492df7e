//! A scenario file with all its defaults filled in.

use serde_json::{Value, json};

use super::Scenario;
use super::schema::{Schema, node_of};
use crate::document::{Document, Kind, Node, Problems};

impl Scenario {
    /// The file with everything spelt out that goes without saying: defaults, and what aliases stand for. It means the
    /// same, and resolved again it is the same text. Comments and keys that begin with `x-` are not in it; neither is
    /// what was changed since the file was read, such as its rate.
    ///
    /// # Errors
    /// When the file with its aliases expanded is larger than any that is read.
    pub fn resolved(&self) -> Result<String, Problems> {
        let document = Document::parse(&self.file_name, self.text.as_bytes())?;
        let unchanged = Self::parse(&self.file_name, self.text.as_bytes())?;
        let mut root = document.root().clone();
        // Two defaults depend on the rest of the file.
        if let Some(connections) = value_or(&mut root, "connections", &json!({})) {
            value_or(connections, "max", &unchanged.connections.max.into());
        }
        unchanged.name_steps(&mut root);
        let text = Schema::new().filled(&root).to_yaml();
        Self::parse(&self.file_name, text.as_bytes()).map_err(Problems::without_places)?;
        Ok(text)
    }

    /// Gives every step its name.
    fn name_steps(&self, root: &mut Node) {
        let flows = value(root, "flows").map(|flows| &mut flows.kind);
        let Some(Kind::Map(flows)) = flows else {
            return;
        };
        for ((_, node), flow) in flows.iter_mut().zip(&self.flows) {
            let mut requests = Vec::new();
            if let Some(steps) = value(node, "steps") {
                collect_requests(steps, &mut requests);
            }
            for (request, step) in requests.into_iter().zip(&flow.steps) {
                value_or(request, "name", &step.name.as_str().into());
            }
        }
    }
}

/// The requests among steps and groups of steps, in order.
fn collect_requests<'n>(steps: &'n mut Node, found: &mut Vec<&'n mut Node>) {
    let Kind::Seq(items) = &mut steps.kind else {
        return;
    };
    for item in items {
        match &item.kind {
            Kind::Map(entries) if entries.iter().any(|(key, _)| key.text == "think") => {}
            Kind::Map(entries) if entries.iter().any(|(key, _)| key.text == "steps") => {
                if let Some(steps) = value(item, "steps") {
                    collect_requests(steps, found);
                }
            }
            _ => found.push(item),
        }
    }
}

/// The value of a key.
fn value<'n>(map: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let Kind::Map(entries) = &mut map.kind else {
        return None;
    };
    let mut entries = entries.iter_mut();
    let found = entries.find(|(name, _)| name.text == key);
    found.map(|(_, value)| value)
}

/// The value of a key, which is `usual` where there was none.
fn value_or<'n>(map: &'n mut Node, key: &str, usual: &Value) -> Option<&'n mut Node> {
    if value(map, key).is_none()
        && let Kind::Map(entries) = &mut map.kind
    {
        entries.push((node_of(&key.into()), node_of(usual)));
    }
    value(map, key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let resolved = |text: &str| {
            let scenario = Scenario::parse("r.yaml", text.as_bytes());
            scenario.and_then(|scenario| scenario.resolved())
        };
        let once = resolved(text).map_err(|problems| problems.to_string());
        assert_eq!(once.as_deref(), Ok(expected));
        assert_eq!(resolved(expected).as_deref(), Ok(expected));
    }

    #[test]
    fn defaults_are_spelt_out() {
        check(
            "# smallest
tailmark: 1
flows: { f: { steps: [get: /v1/items?page=1] } }
phases: [{ name: p, rate: 1/s, for: 1s }]
",
            "tailmark: 1
seed: 1
timeout: 10s
connections:
  max: 256
  connect_timeout: 5s
  open: eager
  reuse: true
  dns:
    ttl: 60s
  http: \"1.1\"
  streams: 100
cookies: false
flows:
  f:
    weight: 1
    steps:
      - name: GET-v1-items
        get: /v1/items?page=1
        checks:
          status: 200..399
        repeat: 1
phases:
  - name: p
    rate: 1/s
    for: 1s
    arrivals: constant
    warmup: false
",
        );
    }

    #[test]
    fn what_each_kind_of_map_may_not_say_is_not_added() {
        check(
            "tailmark: 1
x-item: &item { get: /item, capture: { id: $.id, tag: { header: etag } } }
connections: { reuse: false }
feeders: { rows: { file: a.csv } }
setup: [{ post: /a }]
flows:
  f:
    steps:
      - *item
      - { if: { id: 7 }, steps: [{ get: '/b/${id}/${tag}/${rows.b}' }, { think: 1s }] }
      - { method: PURGE, path: /c, body: { file: c.bin }, checks: { status: [200, 4xx] } }
phases:
  - { name: a, users: 700, for: 1s }
  - { name: b, pause: true, for: 1s }
  - { name: c, ramp: 1..5, for: 1s, warmup: true }
",
            "tailmark: 1
seed: 1
timeout: 10s
connections:
  max: 700
  connect_timeout: 5s
  reuse: false
  dns:
    ttl: 60s
  http: \"1.1\"
  streams: 100
cookies: false
feeders:
  rows:
    file: a.csv
    order: circular
setup:
  - post: /a
    checks:
      status: 200..399
flows:
  f:
    weight: 1
    steps:
      - name: GET-item
        get: /item
        checks:
          status: 200..399
        capture:
          id: $.id
          tag:
            header: etag
            optional: false
        repeat: 1
      - steps:
          - name: GET-b
            get: /b/${id}/${tag}/${rows.b}
            checks:
              status: 200..399
          - think: 1s
        if:
          id: 7
        repeat: 1
      - name: PURGE-c
        method: PURGE
        path: /c
        body:
          file: c.bin
        checks:
          status:
            - 200
            - 4xx
        repeat: 1
phases:
  - name: a
    users: 700
    for: 1s
    warmup: false
  - name: b
    pause: true
    for: 1s
  - name: c
    ramp: 1..5
    for: 1s
    arrivals: constant
    warmup: true
",
        );
    }
}
