//! Questions to the embedded store, in SQL, through a few connections that only read. Whoever gives up ends the query.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::types::{Value as Sql, ValueRef};
use rusqlite::{Connection, InterruptHandle, OpenFlags, params_from_iter};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use super::ask::{Only, Question, Row, Take, columns};
use crate::store::{ReadError, Reason};

/// How long a reader waits for whoever holds the file; in the write-ahead mode that is nearly nobody.
const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// The file, and connections that wait for the next question: never more than there are turns.
#[derive(Debug, Clone)]
pub(super) struct SqliteReader {
    path: PathBuf,
    idle: Arc<Mutex<Vec<Connection>>>,
}

/// Ends the query unless it was put aside: whoever asked has gone.
struct Interrupt(Option<InterruptHandle>);

impl Drop for Interrupt {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take() {
            handle.interrupt();
        }
    }
}

impl SqliteReader {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            idle: Arc::default(),
        }
    }

    pub(super) async fn ask(&self, question: Question, turn: OwnedSemaphorePermit) -> Result<Vec<Row>, ReadError> {
        let opened = {
            let own = self.clone();
            blocking(move || own.connection()).await?
        };
        let mut interrupt = Interrupt(Some(opened.get_interrupt_handle()));
        let asked = blocking(move || {
            let _turn = turn;
            let rows = rows(&opened, &question);
            Ok((opened, rows))
        });
        let (connection, rows) = asked.await?;
        interrupt.0 = None;
        // Only one that nobody may still interrupt is used again.
        self.idle().push(connection);
        rows.map_err(|e| broken(&e))
    }

    fn connection(&self) -> Result<Connection, rusqlite::Error> {
        let waiting = self.idle().pop();
        waiting.map_or_else(
            || {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(&self.path, flags)?;
                connection.busy_timeout(BUSY_TIMEOUT)?;
                Ok(connection)
            },
            Ok,
        )
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn blocking<T: Send + 'static>(
    run: impl FnOnce() -> Result<T, rusqlite::Error> + Send + 'static,
) -> Result<T, ReadError> {
    match tokio::task::spawn_blocking(run).await {
        Ok(done) => done.map_err(|e| broken(&e)),
        Err(e) => Err(ReadError {
            reason: Reason::Database,
            detail: e.to_string(),
        }),
    }
}

fn broken(error: &rusqlite::Error) -> ReadError {
    ReadError {
        reason: Reason::Database,
        detail: error.to_string(),
    }
}

fn rows(db: &Connection, question: &Question) -> rusqlite::Result<Vec<Row>> {
    let names = columns(question);
    let (sql, values) = statement(question);
    let mut statement = db.prepare_cached(&sql)?;
    let mut found = statement.query(params_from_iter(values))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let mut columns = std::collections::BTreeMap::new();
        for (at, name) in (1..).zip(&names) {
            let value = match row.get_ref(at)? {
                ValueRef::Integer(number) => Value::from(number),
                ValueRef::Real(number) => Value::from(number),
                ValueRef::Text(text) => Value::from(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Null | ValueRef::Blob(_) => continue,
            };
            columns.insert(*name, value);
        }
        rows.push(Row {
            time_ns: row.get(0)?,
            columns,
        });
    }
    Ok(rows)
}

/// The statement and its values. Names come from the schema, values are bound.
fn statement(question: &Question) -> (String, Vec<Sql>) {
    let mut values: Vec<Sql> = vec![
        question.tenant.as_str().to_owned().into(),
        question.from_ns.into(),
        question.to_ns.into(),
    ];
    let mut filter = "tenant = ?1 AND time_ns >= ?2 AND time_ns < ?3".to_owned();
    for only in &question.only {
        filter.push_str(" AND ");
        filter.push_str(&condition(only, &mut values));
    }
    let from = question.measurement.name;
    let names = columns(question);
    let sql = match &question.take {
        Take::Rows {
            newest_first, limit, ..
        } => {
            let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            let order = if *newest_first { "DESC" } else { "ASC" };
            let names = names.join(", ");
            format!("SELECT time_ns, {names} FROM {from} WHERE {filter} ORDER BY time_ns {order} LIMIT {limit}")
        }
        Take::Steps { width_ns, folds, limit } => {
            let folds: Vec<String> = folds
                .iter()
                .map(|(fold, field, _)| format!("{}(\"{field}\")", fold.function()))
                .collect();
            let zone = if question.measurement.zone { "zone, " } else { "" };
            let by = if question.measurement.zone { ", zone" } else { "" };
            format!(
                "SELECT time_ns / {width_ns} * {width_ns} AS step, {zone}{} FROM {from} WHERE {filter} \
                 GROUP BY step{by} ORDER BY step{by} LIMIT {limit}",
                folds.join(", ")
            )
        }
    };
    (sql, values)
}

fn condition(only: &Only, values: &mut Vec<Sql>) -> String {
    let mut bind = |text: &str| {
        values.push(text.to_owned().into());
        values.len()
    };
    match only {
        Only::Is(column, text) => format!("\"{column}\" = ?{}", bind(text)),
        // As in the index that it uses, to the letter.
        Only::Rare => crate::schema::RARE_STATES.to_owned(),
        Only::About { device, names } => {
            let mut any = vec![format!("device = ?{}", bind(device))];
            for name in names {
                // Not LIKE, to which an underscore is any character.
                any.push(format!(
                    "instr(',' || items || ',', ?{}) > 0",
                    bind(&format!(",{name},"))
                ));
            }
            format!("({})", any.join(" OR "))
        }
    }
}
