//! A real `/api/v2/write`: VictoriaMetrics takes InfluxDB 2's writes. It keeps numeric fields only, with milliseconds.

use std::process::Command;

use serde_json::Value;

use service::testing::free_port;

use super::{Server, TestServerError, answers};

const PROGRAM: &str = "victoria-metrics";

/// A running VictoriaMetrics.
#[derive(Debug)]
pub struct VictoriaMetrics {
    url: String,
    _server: Server,
    _dir: tempfile::TempDir,
}

impl VictoriaMetrics {
    /// Starts one with an empty directory.
    ///
    /// # Errors
    /// [`TestServerError`].
    pub async fn start() -> Result<Self, TestServerError> {
        let dir = tempfile::tempdir()?;
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let mut command = Command::new(PROGRAM);
        command
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .arg(format!("-storageDataPath={}", dir.path().display()))
            .args(["-retentionPeriod=100y", "-memory.allowedBytes=64MB"]);
        let server = Server::start(PROGRAM, "victoria-metrics", &mut command)?;
        answers(PROGRAM, &format!("{url}/health")).await?;
        Ok(Self {
            url,
            _server: server,
            _dir: dir,
        })
    }

    /// Where to write.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every series of a metric (`measurement_field`) with its values; what was written shows after a flush, done here.
    ///
    /// # Errors
    /// [`TestServerError`].
    pub async fn export(&self, metric: &str) -> Result<Vec<Value>, TestServerError> {
        reqwest::get(format!("{}/internal/force_flush", self.url)).await?;
        let text = reqwest::get(format!("{}/api/v1/export?match[]={metric}", self.url))
            .await?
            .text()
            .await?;
        text.lines()
            .map(|line| serde_json::from_str(line).map_err(|_| TestServerError::Answer(line.to_owned())))
            .collect()
    }
}
