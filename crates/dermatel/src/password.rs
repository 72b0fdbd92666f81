//! `dermatel password`: the hash of a person's password, for `console.people`. The password itself is kept and shown nowhere.
use std::io::{BufRead as _, IsTerminal as _, Write as _, stdin};

use anyhow::{Context, Result, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Asks for a password, twice where somebody types it, and prints its hash.
pub(crate) fn make() -> Result<()> {
    let password = match stdin().is_terminal() {
        true => typed()?,
        false => line()?,
    };
    let hash = console::hash_password(&password).context("no hash was made")?;
    println!("{hash}");
    Ok(())
}

fn line() -> Result<String> {
    let mut line = String::new();
    stdin()
        .lock()
        .read_line(&mut line)
        .context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The terminal as it was, put back however this ends.
struct Quiet(Termios);

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing better can be done about a terminal that is gone.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

fn typed() -> Result<String> {
    let before = tcgetattr(stdin()).context("cannot ask the terminal to show nothing")?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    let _back = Quiet(before);
    tcsetattr(stdin(), OptionalActions::Now, &quiet).context("cannot ask the terminal to show nothing")?;
    let first = ask("Password: ")?;
    if first != ask("Once more: ")? {
        bail!("the two differ");
    }
    Ok(first)
}

fn ask(what: &str) -> Result<String> {
    eprint!("{what}");
    std::io::stderr().flush().context("cannot ask")?;
    let line = line()?;
    eprintln!();
    Ok(line)
}
