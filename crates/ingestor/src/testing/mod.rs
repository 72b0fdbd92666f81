//! Real servers and a double for tests, here and end to end. Processes listen on loopback, keep their files in a temporary
//! directory and are ended by their own id when dropped.

mod double;
mod influx1;
mod influx2;
mod victoria;

pub use double::{InfluxDouble, Trouble};
pub use influx1::Influx1;
pub use influx2::{Influx2Bucket, Influx2Double, Influx2State, OPERATOR};
pub use victoria::VictoriaMetrics;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer for the first time.
const START: Duration = Duration::from_secs(30);
/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

/// Why a test server is not there.
#[derive(Debug, thiserror::Error)]
pub enum TestServerError {
    /// The program is missing.
    #[error(
        "{program} cannot be started; it is the Debian package {package}, and `cargo xtask test` installs what is missing"
    )]
    Missing {
        /// The program.
        program: &'static str,
        /// Its package.
        package: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It was started and does not answer.
    #[error("{program} did not answer within {START:?}")]
    Silent {
        /// The program.
        program: &'static str,
    },
    /// Files or sockets.
    #[error("the test server could not be set up")]
    Io(#[from] std::io::Error),
    /// It answered with an error, or not at all.
    #[error("the test server did not answer")]
    Http(#[from] reqwest::Error),
    /// It answered something else than expected.
    #[error("the test server answered: {0}")]
    Answer(String),
}

/// A process that ends with this value.
#[derive(Debug)]
struct Server(Child);

impl Server {
    fn start(program: &'static str, package: &'static str, command: &mut Command) -> Result<Self, TestServerError> {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Self)
            .map_err(|source| TestServerError::Missing {
                program,
                package,
                source,
            })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a GET of `url` succeeds.
async fn answers(program: &'static str, url: &str) -> Result<(), TestServerError> {
    let begun = Instant::now();
    while begun.elapsed() < START {
        if reqwest::get(url).await.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
    Err(TestServerError::Silent { program })
}
