//! An endpoint that stands for all of AWS: it says who asked, and answers as a test wants it to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A status, and what is said with it.
pub(crate) type Said = (u16, String);

/// Listens until the test's process ends.
pub(crate) struct FakeAws {
    pub(crate) url: String,
    keys: Arc<Mutex<Vec<String>>>,
}

impl FakeAws {
    /// `answer` is asked with the path of each request.
    pub(crate) fn start(answer: impl Fn(&str) -> Said + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let keys = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&keys);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up is told of by what it prints.
                if let Some((path, key)) = read(&stream) {
                    seen.lock().expect("no other thread died").extend(key);
                    let _ = reply(stream, answer(&path));
                }
            }
        });
        Self { url, keys }
    }

    /// The access keys that signed requests, in their order.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.keys.lock().expect("no other thread died").clone()
    }
}

/// The path of a request, and the access key that signed it.
fn read(stream: &TcpStream) -> Option<(String, Option<String>)> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let (mut key, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ")?;
        if name.eq_ignore_ascii_case("authorization") {
            let (_, rest) = value.split_once("Credential=")?;
            key = rest.split('/').next().map(str::to_owned);
        } else if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, key))
}

fn reply(mut stream: TcpStream, (status, body): Said) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status} X\r\netag: \"e\"\r\nlast-modified: Mon, 23 Nov 2026 02:00:00 GMT\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}
