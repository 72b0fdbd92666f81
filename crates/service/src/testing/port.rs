//! Ports for servers that tests start, each for one process and below the range from which systems draw for outgoing connections:
//! what was free a moment ago is still free when the server gets there, also after it was killed and comes back.
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use rand::Rng as _;

/// Linux draws from 32768 upwards (`net.ipv4.ip_local_port_range`).
const RANGE: std::ops::Range<u16> = 12_000..32_000;
/// Draws until none is free.
const DRAWS: usize = 1_000;

/// The locks that this process holds until it ends. Nobody gives a port back: a server may come back to it at any time.
static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// A port on 127.0.0.1 that nobody listens on and that no other test gets, in whichever process.
///
/// # Panics
/// When there is none, or the folder of the locks in the temporary directory cannot be written.
pub fn free_port() -> u16 {
    let folder = std::env::temp_dir().join("dermatel-test-ports");
    std::fs::create_dir_all(&folder).expect("a folder for locks");
    for _ in 0..DRAWS {
        let port = rand::rng().random_range(RANGE);
        let lock = File::create(folder.join(port.to_string())).expect("a file to lock");
        if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            HELD.lock().expect("no test panics while it holds this").push(lock);
            return port;
        }
    }
    panic!("no port of {RANGE:?} is free");
}
