//! A real SMTP server with TLS takes our mail: aiosmtpd, started by the test.
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{elsewhere, readiness_says, receiver, rows, tls};
use crate::desk::{Running, nothing_waits, until};

const SERVER: &str = include_str!("smtp_server.py");

struct MailServer {
    child: Child,
    port: u16,
    dir: PathBuf,
}

fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = std::env::var_os("DERMATEL_TEST_PYTHON")
        .map_or_else(|| root.join("target/test-venv/bin/python"), PathBuf::from);
    assert!(
        python.exists(),
        "{} is missing: `cargo xtask test` makes it",
        python.display()
    );
    python
}

impl MailServer {
    /// `mode`: `starttls` or `implicit`; `first`: how it answers the first mail, or nothing.
    fn start(dir: &Path, files: &tls::Files, mode: &str, first: &str) -> Self {
        let script = dir.join("smtp_server.py");
        std::fs::write(&script, SERVER).unwrap();
        let inbox = dir.join("inbox");
        std::fs::create_dir_all(&inbox).unwrap();
        let mut child = Command::new(python())
            .arg(&script)
            .args([mode, first])
            .args([&files.cert, &files.key, &inbox])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line
            .trim()
            .parse()
            .unwrap_or_else(|_| panic!("the mail server said {line:?}"));
        Self {
            child,
            port,
            dir: inbox,
        }
    }

    /// Mails in the order of their arrival.
    fn mails(&self) -> Vec<String> {
        let files = std::fs::read_dir(&self.dir).unwrap().map(|file| file.unwrap().path());
        let mut files: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|e| e == "eml"))
            .collect();
        files.sort();
        files
            .iter()
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(dir: &Path, server: &MailServer, ca: &Path, tls: &str, password: &str) -> Running {
    let toml = format!(
        "name = \"mail\"\nemail = {{ host = \"localhost\", port = {}, tls = \"{tls}\", ca = \"{}\", username = \"pager\", \
         password = \"{password}\", from = \"Dermatel <pager@dermatel.example>\", to = [\"ann@clinic.example\", \"bob@clinic.example\"]}}\n",
        server.port,
        ca.display()
    );
    Running::start(dir, vec![receiver(&toml)])
}

fn header<'m>(mail: &'m str, name: &str) -> &'m str {
    let line = mail
        .lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {mail}"))
        .trim_start_matches(':')
        .trim()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_mail_server_takes_every_step_of_an_alert_as_one_conversation() {
    for tls in ["starttls", "implicit"] {
        let dir = tempfile::tempdir().unwrap();
        let files = tls::files(dir.path(), "mail");
        let server = MailServer::start(dir.path(), &files, tls, "");
        let running = start(dir.path(), &server, &files.ca, tls, "secret");
        elsewhere(&running, true);
        until("a mail", || (server.mails().len() == 1).then_some(())).await;
        elsewhere(&running, false);
        until("the second", || (server.mails().len() == 2).then_some(())).await;
        nothing_waits(&running).await;
        let alert = running.handle.summary().await.unwrap();
        assert!(alert.open.is_empty());
        running.stop().await;
        let mails = server.mails();
        let of = |name| {
            mails
                .iter()
                .map(|mail| header(mail, name).to_owned())
                .collect::<Vec<_>>()
        };
        let (ids, parents) = (of("Message-ID"), of("In-Reply-To"));
        assert_ne!(ids[0], ids[1]);
        assert_eq!((&parents[0], of("References")), (&parents[1], parents.clone()));
        assert!(
            parents[0].contains(header(&mails[0], "Dermatel-Alert-Id")) && parents[0].ends_with("@dermatel.example>")
        );
        assert_eq!(of("Subject")[0], of("Subject")[1], "one conversation");
        assert_eq!(header(&mails[0], "Auto-Submitted"), "auto-generated");
        assert_eq!(header(&mails[0], "To"), "ann@clinic.example, bob@clinic.example");
        assert!(
            mails[0].contains("FIRING: receiver elsewhere does not take its pages"),
            "{}",
            mails[0]
        );
        assert!(mails[1].contains("RESOLVED: "));
        let receipts = rows(dir.path(), "delivered");
        assert!(
            receipts
                .iter()
                .all(|row| row["receipt"].as_str().unwrap().starts_with("250")),
            "{receipts:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_with_a_wrong_certificate_gets_nothing_and_needs_a_person() {
    for tls in ["starttls", "implicit"] {
        let dir = tempfile::tempdir().unwrap();
        let (files, other) = (tls::files(dir.path(), "mail"), tls::files(dir.path(), "other"));
        let server = MailServer::start(dir.path(), &files, tls, "");
        let running = start(dir.path(), &server, &other.ca, tls, "secret");
        elsewhere(&running, true);
        until("readiness", || readiness_says(&running, "certificate").then_some(())).await;
        running.stop().await;
        assert!(server.mails().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_says_later_gets_it_later_and_one_that_says_never_is_believed() {
    for (first, mails, undelivered) in [("451 4.7.1 try again", 1, 0), ("554 5.7.1 spam", 1, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let files = tls::files(dir.path(), "mail");
        let server = MailServer::start(dir.path(), &files, "starttls", first);
        let running = start(dir.path(), &server, &files.ca, "starttls", "secret");
        elsewhere(&running, true);
        // After a refusal for good comes the page that says so.
        until(first, || (server.mails().len() == mails).then_some(())).await;
        nothing_waits(&running).await;
        running.stop().await;
        let lost = rows(dir.path(), "undelivered");
        assert_eq!(lost.len(), undelivered, "{lost:?}");
        assert!(lost.iter().all(|row| row["reason"] == "rejected"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_needs_a_person_and_keeps_the_page_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let files = tls::files(dir.path(), "mail");
    let server = MailServer::start(dir.path(), &files, "starttls", "");
    let running = start(dir.path(), &server, &files.ca, "starttls", "wrong");
    elsewhere(&running, true);
    until("readiness", || readiness_says(&running, "denied").then_some(())).await;
    running.stop().await;
    assert_eq!(rows(dir.path(), "undelivered").len(), 0);
}
