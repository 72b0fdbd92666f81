//! Who is signed in, in one small file: a restart signs nobody out. In it stand digests only, of what a cookie holds and of the hash
//! of the password with which it was got: who reads it gets in nowhere, and a new password ends what the old one began.
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use telemetry::UnixMicros;

use super::hex;
use super::sessions::{MAX_SESSIONS, Session, Sessions};

/// Longest file that is read, in bytes: more than [`MAX_SESSIONS`] sessions of the longest names take.
const MAX_BYTES: u64 = 512 * 1024;

/// One session in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    cookie: String,
    name: String,
    password: String,
    since_us: i64,
}

/// The file. It is written beside the requests, one at a time; what is asked for meanwhile is one more time.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    turn: Mutex<()>,
    owed: AtomicBool,
}

impl Kept {
    /// The file and what is in it. One that cannot be read costs its sessions, and nothing else.
    pub(super) fn open(path: PathBuf) -> (Self, Sessions) {
        let sessions = match read(&path) {
            Ok(sessions) => sessions,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Sessions::default(),
            Err(error) => {
                tracing::warn!(file = %path.display(), error = %error, "who was signed in cannot be read: everybody signs in again");
                Sessions::default()
            }
        };
        let own = Self {
            path,
            turn: Mutex::default(),
            owed: AtomicBool::new(false),
        };
        (own, sessions)
    }

    /// Writes what holds now, soon. A failure costs a sign-in after the next restart.
    pub(super) fn put(self: &Arc<Self>, sessions: &Arc<Mutex<Sessions>>) {
        if self.owed.swap(true, Ordering::AcqRel) {
            return;
        }
        let (own, sessions) = (Arc::clone(self), Arc::clone(sessions));
        tokio::task::spawn_blocking(move || {
            let _turn = own.turn.lock().unwrap_or_else(PoisonError::into_inner);
            own.owed.store(false, Ordering::Release);
            let lines = lines(&sessions.lock().unwrap_or_else(PoisonError::into_inner));
            if let Err(error) = write(&own.path, &lines) {
                tracing::warn!(file = %own.path.display(), error = %error, "who is signed in cannot be kept: a restart signs them out");
            }
        });
    }
}

fn lines(sessions: &Sessions) -> Vec<Line> {
    let line = |(key, session): (&[u8; 32], &Session)| Line {
        cookie: hex(key),
        name: session.name.clone(),
        password: hex(&session.password),
        since_us: session.since.0,
    };
    sessions.all().map(line).collect()
}

/// Whole or not at all: beside it, then in its place.
fn write(path: &Path, lines: &[Line]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&serde_json::to_vec(lines)?)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

fn read(path: &Path) -> io::Result<Sessions> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut text)?;
    let lines: Vec<Line> = serde_json::from_slice(&text)?;
    let mut sessions = Sessions::default();
    for line in lines.into_iter().take(MAX_SESSIONS) {
        let (Some(key), Some(password)) = (digest(&line.cookie), digest(&line.password)) else {
            continue;
        };
        let session = Session {
            name: line.name,
            password,
            since: UnixMicros(line.since_us),
        };
        sessions.put_back(key, session);
    }
    Ok(sessions)
}

/// 64 hexadecimal digits.
fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::super::{Access, draw};
    use super::*;
    use crate::config::Config;

    fn config(password: &str) -> Config {
        let hash = crate::hash_password(password).unwrap();
        let text = format!("[[people]]\nname = \"anna\"\nrole = \"responder\"\npassword = \"{hash}\"\n");
        toml::from_str(&text).unwrap()
    }

    async fn until(file: &Path, holds: impl Fn(&str) -> bool) -> String {
        for _ in 0..1_000 {
            if let Ok(text) = std::fs::read_to_string(file)
                && holds(&text)
            {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{} was not written", file.display());
    }

    #[tokio::test]
    async fn a_restart_signs_nobody_out_and_a_new_password_or_a_sign_out_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sessions.json");
        let now = UnixMicros(1_000_000);
        let config = config("a first password");
        let access = Access::new(&config, Some(file.clone()));
        let cookie = access.begin("anna", now);
        let before = access.person(&cookie, now).unwrap();
        let text = until(&file, |text| text.contains("anna")).await;
        // Who reads the file gets in nowhere.
        assert!(
            !text.contains(&cookie) && !text.contains(&before.csrf) && !text.contains("argon2"),
            "{text}"
        );

        let after = Access::new(&config, Some(file.clone()));
        assert_eq!(after.person(&cookie, now), Some(before));
        assert_eq!(after.person(&draw(), now), None);
        let late = now.plus(config.session);
        assert_eq!(after.person(&cookie, late), None);
        // Another password, or no file: signed out.
        let changed = self::config("a second password");
        assert_eq!(Access::new(&changed, Some(file.clone())).person(&cookie, now), None);
        assert_eq!(Access::new(&config, None).person(&cookie, now), None);

        after.end(&cookie);
        until(&file, |text| !text.contains("anna")).await;
        assert_eq!(Access::new(&config, Some(file)).person(&cookie, now), None);
    }

    #[test]
    fn a_file_that_is_none_costs_its_sessions_only() {
        let folder = tempfile::tempdir().unwrap();
        for text in [
            "",
            "{",
            "[{\"cookie\":1}]",
            "[{\"cookie\":\"zz\",\"name\":\"anna\",\"password\":\"\",\"since_us\":0}]",
        ] {
            let file = folder.path().join("sessions.json");
            std::fs::write(&file, text).unwrap();
            assert_eq!(Kept::open(file).1.all().count(), 0, "{text}");
        }
    }
}
