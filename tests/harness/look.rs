//! What tests ask of a running [`Stack`] beside its API: the store's rows, its memory, its signals, its files.
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{Stack, StackSpec, Store, Webhook, wait_for};

/// Longest wait for something that happens within a second when nothing else runs; a machine that builds meanwhile may stand still for
/// half a minute.
pub const SOON: Duration = Duration::from_secs(90);

impl StackSpec {
    /// The embedded store, pages to `webhook`, no broker, nothing else.
    pub fn plain(webhook: &Webhook) -> Self {
        Self {
            store: Store::Sqlite,
            webhook: webhook.url(),
            broker: None,
            more: String::new(),
        }
    }

    /// A store that nobody answers for.
    pub fn without_store(webhook: &Webhook) -> Self {
        let url = format!("http://127.0.0.1:{}", crate::free_port());
        let bucket = "b-{tenant}".to_owned();
        Self {
            store: Store::Influx { url, bucket },
            ..Self::plain(webhook)
        }
    }
}

impl Stack {
    /// Pages that would leave alerting's outbox for the webhook: nobody said that it has them.
    pub fn pages_waiting(&self) -> Result<Vec<String>, String> {
        let file = self.folder().join("data/alerting.sqlite");
        let sql = "SELECT body FROM outbox WHERE receiver = 'hook' AND transition_id NOT IN \
                   (SELECT transition_id FROM told_elsewhere WHERE receiver = 'hook')";
        let waiting = rows(&file, sql).map_err(|e| e.to_string())?;
        Ok(waiting.into_iter().flatten().collect())
    }

    /// Replaces the first `from` in a file of the stack's folder, which must be there.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.folder().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from:?}:\n{text}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Rows of the embedded store, every value as text, `NULL` as `-`.
    pub fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        rows(&self.store_file(), sql).map_err(|e| e.to_string())
    }

    /// Rows of any database in the data folder.
    pub fn rows_of(&self, file: &str, sql: &str) -> Result<Vec<Vec<String>>, String> {
        rows(&self.folder().join("data").join(file), sql).map_err(|e| e.to_string())
    }

    /// Bodies of the rows of a kind in alerting's journal, oldest first.
    pub fn journal(&self, kind: &str) -> Result<Vec<Value>, String> {
        let sql = format!("SELECT body FROM journal WHERE kind = '{kind}' ORDER BY n");
        let found = rows(&self.folder().join("data/alerting.sqlite"), &sql).map_err(|e| e.to_string())?;
        let bodies = found.into_iter().flatten().map(|body| serde_json::from_str(&body));
        bodies.collect::<Result<_, _>>().map_err(|e| e.to_string())
    }

    /// The one number that a query of the embedded store gives.
    pub fn number(&self, sql: &str) -> Result<i64, String> {
        let rows = self.rows(sql)?;
        rows.first()
            .and_then(|row| row.first()?.parse().ok())
            .ok_or_else(|| format!("{sql} gave {rows:?}"))
    }

    /// Waits until a query of the embedded store gives this number.
    pub fn wait_number(&self, sql: &str, wanted: i64) {
        wait_for(sql, SOON, || match self.number(sql) {
            Ok(found) if found == wanted => Ok(()),
            other => Err(other),
        });
    }

    /// Waits until a metric is at least this.
    pub fn wait_metric(&self, name: &str, least: f64) {
        wait_for(name, SOON, || {
            let now = self.metric(name);
            if now >= least { Ok(()) } else { Err(now) }
        });
    }

    /// Whether it says that it is ready.
    pub fn is_ready(&self) -> bool {
        matches!(self.get("/readyz"), Ok((200, _)))
    }

    /// What `/readyz` remarks about the condition of that name while it is green; `None`: nothing.
    pub fn remark(&self, name: &str) -> Option<String> {
        let (_, body) = self.get("/readyz").ok()?;
        let report: Value = serde_json::from_str(&body).unwrap();
        let remarks = report["remarks"].as_array().into_iter().flatten();
        let mut remarks = remarks.filter(|one| one["name"] == name);
        remarks.find_map(|one| one["reason"].as_str().map(str::to_owned))
    }

    /// Why the condition of that name is red in `/readyz`; `None` while it is green.
    pub fn red(&self, name: &str) -> Option<String> {
        let (_, body) = self.get("/readyz").unwrap();
        let report: Value = serde_json::from_str(&body).unwrap();
        let red = report["red"].as_array().unwrap().iter().find(|one| one["name"] == name);
        assert!(
            red.is_some() || report["green"].as_array().unwrap().iter().any(|one| one == name),
            "no condition {name} in {body}"
        );
        red.map(|one| one["reason"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends a signal by name, as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end and gives the exit code.
    pub fn exit_code(&mut self, within: Duration) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        wait_for("the end of the process", within, || match child.try_wait().unwrap() {
            Some(status) => Ok(status.code()),
            None => Err("still running"),
        })
    }

    /// As [`Stack::up`], with the signal for too large files ignored, so that [`Stack::limit_files`] is an error of writes
    /// and not the end of the process.
    pub fn up_with_failing_writes(&mut self) {
        let log = std::fs::File::create(self.folder().join("log")).unwrap();
        let child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(crate::dermatel())
            .args(["up", "--config"])
            .arg(self.folder().join("dermatel.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        wait_for("readiness", SOON, || match self.get("/readyz") {
            Ok((200, _)) => Ok(()),
            other => Err(other),
        });
    }

    /// From now on no file of the running process may be written beyond so many bytes, or `unlimited`.
    pub fn limit_files(&self, bytes: &str) {
        let pid = self.pid().to_string();
        let limit = format!("--fsize={bytes}:unlimited");
        let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status();
        assert!(status.unwrap().success());
    }

    /// Resident memory now, bytes.
    pub fn resident_bytes(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }
}

/// Sum of the sizes of the files below a folder, bytes.
pub fn folder_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => folder_bytes(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

fn rows(file: &Path, sql: &str) -> rusqlite::Result<Vec<Vec<String>>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = rusqlite::Connection::open_with_flags(file, flags)?;
    db.busy_timeout(Duration::from_secs(5))?;
    let mut statement = db.prepare(sql)?;
    let columns = statement.column_count();
    let found = statement.query_map([], |row| {
        (0..columns)
            .map(|at| {
                Ok(match row.get_ref(at)? {
                    rusqlite::types::ValueRef::Null => "-".to_owned(),
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Real(number) => number.to_string(),
                    rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                    rusqlite::types::ValueRef::Blob(bytes) => format!("{bytes:02x?}"),
                })
            })
            .collect()
    })?;
    found.collect()
}

/// Copies a folder with all that is in it; what is there already stays.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let copy = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &copy);
        } else {
            std::fs::copy(entry.path(), copy).unwrap();
        }
    }
}
