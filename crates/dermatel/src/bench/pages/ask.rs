//! One page asked for over HTTP many times: how long each answer took, and how large it was.
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde_json::Value;

use super::super::throughput::millis;

/// Longest wait for an answer: one that takes longer is no page for anybody.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Where the process under test is asked.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) port: u16,
    /// Of the API.
    pub(super) token: &'static str,
}

/// Answers to one question.
#[derive(Debug)]
pub(super) struct Answers {
    took_us: Histogram<u64>,
    bytes: usize,
}

impl Door {
    /// One answer's body; anything but 200 is a failure.
    pub(super) fn get(&self, path: &str) -> Result<String> {
        self.request("GET", path, "")
    }

    pub(super) fn json(&self, path: &str) -> Result<Value> {
        serde_json::from_str(&self.get(path)?).with_context(|| format!("{path} is no JSON"))
    }

    pub(super) fn request(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let request = format!(
            "{method} {path} HTTP/1.0\r\nhost: 127.0.0.1\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .with_context(|| format!("no answer to {path}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        ensure!(
            status.starts_with('2'),
            "{method} {path} was answered with {status}: {body}"
        );
        Ok(body.to_owned())
    }

    /// Asks so often, one after the other, each time on a connection of its own.
    pub(super) fn ask(&self, path: &str, times: u32) -> Result<Answers> {
        let mut answers = Answers {
            took_us: Histogram::new(3)?,
            bytes: 0,
        };
        for _ in 0..times.max(1) {
            let started = Instant::now();
            let body = self.get(path)?;
            answers.took_us.record(u64::try_from(started.elapsed().as_micros())?)?;
            answers.bytes = answers.bytes.max(body.len());
        }
        Ok(answers)
    }
}

impl Answers {
    /// 99th percentile, in microseconds.
    pub(super) fn p99_us(&self) -> u64 {
        self.took_us.value_at_quantile(0.99)
    }

    pub(super) fn times(&self) -> String {
        let at = |q| millis(self.took_us.value_at_quantile(q));
        format!("p50 {}, p99 {}, max {}", at(0.5), at(0.99), millis(self.took_us.max()))
    }

    pub(super) fn size(&self) -> String {
        format!("{:.0} kB", self.bytes as f64 / 1_000.0)
    }
}
