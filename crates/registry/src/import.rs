//! A list of devices as CSV: a header with the names of the keys in `devices.toml`, one device a line; every bad row is named.
use std::fmt::Display;

use csv::StringRecord;
use telemetry::{ClinicId, DeviceId, ModelId, Serial, TenantId};

use crate::change::{MAX_STEPS, NewDevice, Row};
use crate::error::{LoadError, LoadErrors, LoadReason, MAX_PROBLEMS};

/// Columns, in the order in which a message names them, and whether they are needed.
const COLUMNS: [(&str, bool); 9] = [
    ("tenant", true),
    ("id", true),
    ("clinic", true),
    ("model", true),
    ("serial", true),
    ("expected_since", false),
    ("secret_sha256", false),
    ("certificate_sha256", false),
    ("certificate", false),
];

/// Reads a list. Separated by commas, or by semicolons where the header has no comma (as spreadsheets in many countries write
/// it). `list` is its name in messages.
///
/// # Errors
/// Every bad row at once, with its line; nothing is read in part.
pub fn read_csv(list: &str, text: &str) -> Result<Vec<Row>, LoadErrors> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let header = text.lines().next().unwrap_or_default();
    let delimiter = if header.contains(';') && !header.contains(',') {
        b';'
    } else {
        b','
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut found = Found {
        list,
        line: 1,
        errors: LoadErrors::default(),
    };
    let columns = match reader.headers() {
        Ok(header) => found.columns(header),
        Err(e) => {
            found.wrong(LoadReason::Syntax, "", &e, "write CSV in UTF-8 with a header");
            return Err(found.errors);
        }
    };
    let mut rows = Vec::new();
    for record in reader.records() {
        match record {
            Ok(record) => {
                found.line = record.position().map_or(0, |at| u32::try_from(at.line()).unwrap_or(0));
                rows.extend(found.row(&columns, &record));
            }
            Err(e) => {
                found.line = e
                    .position()
                    .map_or(found.line, |at| u32::try_from(at.line()).unwrap_or(0));
                found.wrong(LoadReason::Syntax, "", &e, "write CSV in UTF-8");
            }
        }
        if rows.len() > MAX_STEPS {
            let wrong = format!("is one row too many: at most {MAX_STEPS} are imported at once");
            found.wrong(LoadReason::OutOfRange, "", &wrong, "split the list");
            break;
        }
    }
    if found.errors.problems.is_empty() {
        Ok(rows)
    } else {
        Err(found.errors)
    }
}

/// What is wrong so far, and where reading is.
struct Found<'l> {
    list: &'l str,
    line: u32,
    errors: LoadErrors,
}

/// For each of [`COLUMNS`], which field of a row it is.
type Columns = [Option<usize>; COLUMNS.len()];

impl Found<'_> {
    fn wrong(&mut self, reason: LoadReason, key: &str, wrong: &dyn Display, allowed: &str) {
        if self.errors.problems.len() >= MAX_PROBLEMS {
            self.errors.more += 1;
            return;
        }
        self.errors.problems.push(LoadError {
            reason,
            file: self.list.to_owned(),
            line: Some(self.line as usize),
            key: key.to_owned(),
            wrong: wrong.to_string(),
            allowed: allowed.to_owned(),
        });
    }

    fn columns(&mut self, header: &StringRecord) -> Columns {
        let mut columns = Columns::default();
        let names = COLUMNS.map(|(name, _)| name).join(", ");
        for (at, name) in header.iter().enumerate() {
            let column = COLUMNS.iter().position(|(known, _)| *known == name);
            match column.and_then(|column| columns.get_mut(column)) {
                Some(Some(_)) => self.wrong(LoadReason::Duplicate, name, &"is there twice", ""),
                Some(free) => *free = Some(at),
                None => {
                    let allowed = format!("columns are: {names}");
                    self.wrong(LoadReason::UnknownKey, name, &"is no column of the list", &allowed);
                }
            }
        }
        for ((name, needed), at) in COLUMNS.iter().zip(columns) {
            if *needed && at.is_none() {
                let allowed = format!("columns are: {names}");
                self.wrong(LoadReason::Missing, name, &"is missing in the header", &allowed);
            }
        }
        columns
    }

    fn row(&mut self, columns: &Columns, record: &StringRecord) -> Option<Row> {
        // A field beyond the header would be lost in silence.
        let width = columns.iter().flatten().max().map_or(0, |last| last + 1);
        if record.len() > width && self.errors.problems.is_empty() {
            let wrong = format!("has {} fields, the header {width}", record.len());
            self.wrong(LoadReason::Syntax, "", &wrong, "quote fields that hold the separator");
            return None;
        }
        let text = |column: usize| {
            let at = columns.get(column).copied().flatten()?;
            record.get(at).filter(|text| !text.is_empty())
        };
        let tenant = self.needed(0, text(0), TenantId::new);
        let id = self.needed(1, text(1), DeviceId::new);
        let clinic = self.needed(2, text(2), ClinicId::new);
        let model = self.needed(3, text(3), ModelId::new);
        let serial = self.needed(4, text(4), Serial::new);
        let expected_since = self.given(5, text(5), str::parse);
        let secret_sha256 = self.given(6, text(6), str::parse);
        let certificate_sha256 = self.given(7, text(7), str::parse);
        let by_name = |text: &str| match text {
            "by-name" => Ok(()),
            _ => Err("is not \"by-name\"; fingerprints go to certificate_sha256"),
        };
        let certificate_by_name = self.given(8, text(8), by_name).is_some();
        let device = NewDevice {
            tenant: tenant?,
            id: id?,
            clinic: clinic?,
            model: model?,
            serial: serial?,
            expected_since,
            secret_sha256,
            certificate_sha256,
            certificate_by_name,
        };
        Some(Row {
            line: self.line,
            device,
        })
    }

    fn given<T, E: Display>(
        &mut self,
        column: usize,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let name = COLUMNS.get(column).map_or("", |(name, _)| *name);
        match parse(text?) {
            Ok(value) => Some(value),
            // The text is not shown: somebody may have written the secret itself.
            Err(e) => {
                self.wrong(LoadReason::BadId, name, &e, "");
                None
            }
        }
    }

    fn needed<T, E: Display>(
        &mut self,
        column: usize,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let name = COLUMNS.get(column).map_or("", |(name, _)| *name);
        if text.is_none() {
            self.wrong(LoadReason::Missing, name, &"is missing", "");
        }
        self.given(column, text, parse)
    }
}
