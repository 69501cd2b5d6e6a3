//! The whole program, from outside.

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::{self, OneConnection};
use crate::support::example::{self, Finished, Running};
use crate::support::{HANG, net, skipped};

fn http_get(arguments: &[&str]) -> Finished {
    example::run("http_get", arguments)
}

/// The numbers of the last line: `N answers in T s (the delays add up to S s), E errors`.
#[derive(Debug)]
struct Summary {
    answers: usize,
    seconds: f64,
    delays: f64,
    errors: usize,
}

impl Summary {
    fn of(finished: &Finished) -> Summary {
        let line = finished.last_line();
        Summary::parse(line).unwrap_or_else(|| panic!("the last line is {line:?}: {finished:?}"))
    }

    fn parse(line: &str) -> Option<Summary> {
        let (answers, rest) = line.split_once(" answers in ")?;
        let (seconds, rest) = rest.split_once(" s (the delays add up to ")?;
        let (delays, errors) = rest.split_once(" s), ")?;
        Some(Summary {
            answers: answers.parse().ok()?,
            seconds: seconds.parse().ok()?,
            delays: delays.parse().ok()?,
            errors: errors.strip_suffix(" errors")?.parse().ok()?,
        })
    }
}

/// Expects that many answers and errors, and the exit status that goes with them.
fn check(finished: &Finished, answers: usize, errors: usize) -> Summary {
    let summary = Summary::of(finished);
    assert_eq!(
        (summary.answers, summary.errors),
        (answers, errors),
        "{finished:?}"
    );
    assert_eq!(finished.code, Some(i32::from(errors > 0)), "{finished:?}");
    let complaints = finished.err.lines().count();
    assert_eq!(complaints, errors, "{finished:?}");
    summary
}

/// Expects the only error to be explained by `why`.
fn check_error(url: &str, why: &str) {
    let finished = http_get(&[url]);
    check(&finished, 0, 1);
    assert!(
        finished.err.starts_with(&format!("http_get: {url}: ")),
        "{finished:?}"
    );
    assert!(finished.err.contains(why), "{why:?} is not in {finished:?}");
}

#[test]
fn five_delays_without_arguments() {
    let finished = http_get(&[]);
    let summary = check(&finished, 5, 0);
    assert_eq!(summary.delays, 3.0);
    // The longest delay is part of it, whatever the machine is busy with.
    assert!(summary.seconds >= 1.0, "{summary:?}");
    for line in [
        "/1000/one  200 OK, 3 bytes: one",
        "/800/two  200 OK, 3 bytes: two",
        "/600/three  200 OK, 5 bytes: three",
        "/400/four  200 OK, 4 bytes: four",
        "/200/five  200 OK, 4 bytes: five",
    ] {
        let times = finished
            .out
            .lines()
            .filter(|said| said.ends_with(line))
            .count();
        assert_eq!(times, 1, "{line}: {finished:?}");
    }
}

/// One after the other they would take as long as the delays add up to.
#[test]
fn many_at_once() {
    let finished = http_get(&["--count", "200", "--delay", "300"]);
    let summary = check(&finished, 200, 0);
    assert_eq!(summary.delays, 60.0);
    assert!(summary.seconds < 60.0, "{summary:?}");
    let lines = finished.out.lines().count();
    assert_eq!(lines, 1 + 200 + 1, "the server, the answers, and the sum");
    println!("{}", finished.last_line());
}

#[test]
fn a_time_out_is_an_error() {
    let patient = http_get(&["--timeout", "30000", "--count=3", "--delay=0"]);
    check(&patient, 3, 0);
    let finished = http_get(&["--timeout", "1", "--count", "3", "--delay", "60000"]);
    check(&finished, 0, 3);
    let why = "http_get: /60000/answer-3: there was no answer within 1 ms";
    assert!(finished.err.contains(why), "{finished:?}");
}

#[test]
fn a_silent_server_is_timed_out() {
    let server = OneConnection::new();
    let url = format!("http://{}/", server.address);
    let silent = server.then(|mut stream| io::copy(&mut stream, &mut io::sink()).is_ok());
    let finished = http_get(&["--timeout", "50", &url]);
    check(&finished, 0, 1);
    assert!(finished.err.contains("within 50 ms"), "{finished:?}");
    assert!(silent.join().unwrap(), "it hung up in an orderly way");
}

#[test]
fn bodies_of_three_kinds() {
    let text = "text ".repeat(20_000);
    let sized = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    let closed = format!("HTTP/1.0 200 Fine\r\n\r\n{text}");
    let chunks: String = text
        .as_bytes()
        .chunks(777)
        .map(|chunk| {
            format!(
                "{:x}\r\n{}\r\n",
                chunk.len(),
                String::from_utf8_lossy(chunk)
            )
        })
        .collect();
    let chunked = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    for answer in [sized, closed, chunked] {
        let finished = http_get(&[&server::saying(answer)]);
        check(&finished, 1, 0);
        assert!(
            finished.out.contains(", 100000 bytes: text text text"),
            "{finished:?}"
        );
        assert!(
            finished.out.contains(" ...\n"),
            "long texts are cut: {finished:?}"
        );
    }
}

/// Whatever the server says is an answer, if it is HTTP; and it is shown in one line.
#[test]
fn what_is_shown_of_an_answer() {
    for (answer, shown) in [
        (
            "404 Not Found\r\nContent-Length: 4\r\n\r\nno\r\n",
            "  404 Not Found, 4 bytes: no\n",
        ),
        ("204 No Content\r\n\r\n", "  204 No Content, 0 bytes: \n"),
        (
            "200 OK\r\n\r\n a\n\tb\x1b[1m\u{e9}\n",
            "  200 OK, 12 bytes: a b\\u{1b}[1m\u{e9}\n",
        ),
    ] {
        let finished = http_get(&[&server::saying(format!("HTTP/1.1 {answer}"))]);
        check(&finished, 1, 0);
        assert!(finished.out.contains(shown), "{shown:?}: {finished:?}");
    }
}

#[test]
fn the_request_is_right() {
    let server = OneConnection::new();
    let address = server.address;
    let server = server.then(|stream| {
        let head = server::read_head(&stream);
        (&stream)
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
        head
    });
    check(&http_get(&[&format!("http://{address}/a/b?c=d#e")]), 1, 0);
    let head = server.join().unwrap();
    assert!(head.starts_with("GET /a/b?c=d HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nHost: {address}\r\n")), "{head}");
}

#[test]
fn cut_off_answers() {
    for (answer, why) in [
        ("", "the answer was cut off before it began"),
        (
            "HTTP/1.1 200 OK\r\nConte",
            "the answer was cut off in its head",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            "after 5 of 9 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
            "among its chunks",
        ),
    ] {
        check_error(&server::saying(answer), why);
    }
}

#[test]
fn broken_connections() {
    let server = OneConnection::new();
    let url = format!("http://{}/", server.address);
    server.then(|stream| {
        server::read_head(&stream);
        (&stream)
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel")
            .unwrap();
        net::reset(stream);
    });
    // Where the reset has taken the data with it, or looks like an end, the text is another one.
    check_error(&url, "the answer");
}

#[test]
fn malformed_and_excessive_answers() {
    let long = "x".repeat(100_000);
    for (answer, why) in [
        (
            "SSH-2.0-OpenSSH_9.2p1\r\n".to_owned(),
            "the answer is malformed",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: soon\r\n\r\n".to_owned(),
            "`soon` is not a length",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n".to_owned(),
            "the answer is malformed",
        ),
        (
            format!("HTTP/1.1 200 OK\r\nX: {long}\r\n\r\n"),
            "its head has more than 64 KiB",
        ),
        (
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(300)),
            "its head has more than 256 lines",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_owned(),
            "its body has more than 64 MiB",
        ),
    ] {
        check_error(&server::saying(answer), why);
    }
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\nhello", &long[..50_000]);
    check(&http_get(&[&server::saying(large)]), 1, 0);
}

#[test]
fn refused_connections() {
    let (_keeps_it, address) = net::refusing();
    check_error(
        &format!("http://{address}/"),
        &format!("cannot connect to {address}: "),
    );
}

#[test]
fn bad_urls_do_not_spoil_good_ones() {
    check_error("https://localhost/", "https is not supported");
    check_error("localhost:8080", "as in http://localhost:8080");
    check_error("http://localhost:port/", "not a number from 1 to 65535");
    check_error(
        "http://no-such-host.invalid/",
        "cannot find the host no-such-host.invalid: ",
    );
    let good = server::saying("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    let finished = http_get(&["https://localhost/", &good, "http://"]);
    check(&finished, 1, 2);
    assert!(finished.out.contains(": good\n"), "{finished:?}");
}

#[test]
fn names_and_ipv6() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
    let by_name = server::saying(answer).replace("127.0.0.1", "localhost");
    check(&http_get(&[&by_name]), 1, 0);
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return skipped("there is no IPv6 on this machine");
    };
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        let head = server::read_head(&stream);
        (&stream).write_all(answer.as_bytes()).unwrap();
        server::close_in_peace(&stream);
        head
    });
    check(&http_get(&[&url]), 1, 0);
    assert!(server.join().unwrap().contains("\r\nHost: [::1]:"));
}

#[test]
fn misuse_and_help() {
    for arguments in [
        &["--nonsense"][..],
        &["--count", "many"],
        &["--count", "0"],
        &["--delay"],
        &["--timeout", "-1"],
        &["--count", "1", "http://localhost/"],
    ] {
        let finished = http_get(arguments);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert_eq!(finished.out, "");
        assert!(finished.err.contains("http_get --help"), "{finished:?}");
    }
    let help = http_get(&["--help"]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    for option in ["--count N", "--delay MS", "--timeout MS", "--help", "URL"] {
        assert!(help.out.contains(option), "{help:?}");
    }
}

/// The limit of open files is raised if it can be, else there is a clear text.
#[cfg(unix)]
#[test]
fn the_limit_of_open_files() {
    let limited = |limits: &str| {
        let line = format!("{limits} && exec \"$0\" --count 200 --delay 1");
        let program = example::path("http_get");
        example::finish(Command::new("sh").args(["-c", &line]).arg(program))
    };
    check(&limited("ulimit -Sn 100"), 200, 0);
    let finished = limited("ulimit -Sn 100 && ulimit -Hn 300");
    assert_eq!((finished.code, finished.out.as_str()), (Some(1), ""));
    let why = "this needs 464 open files, and the hard limit of this process is 300";
    assert!(finished.err.contains(why), "{finished:?}");
}

/// As in `http_get | head -1`.
#[cfg(unix)]
#[test]
fn a_reader_that_leaves_is_no_panic() {
    let line = "\"$0\" --count 50 --delay 100 | head -1; wait";
    let program = example::path("http_get");
    let finished = example::finish(Command::new("sh").args(["-c", line]).arg(program));
    assert!(
        finished.out.starts_with("the delay server listens on "),
        "{finished:?}"
    );
    assert_eq!(finished.err, "");
}

/// A folder for a server to serve.
fn folder_of_files(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(folder.join("files")).unwrap();
    fs::write(folder.join("files/small.txt"), "a small file\n").unwrap();
    fs::write(folder.join("files/large.bin"), vec![b'x'; 5_000_000]).unwrap();
    folder
}

/// Fetches a small file, a large one, a list of files, and one that is not there, all at once.
fn fetch_files(address: SocketAddr, list: &str, not_found: &str) {
    let url = |path: &str| format!("http://{address}/{path}");
    let paths = ["small.txt", "large.bin", "none", ""].map(url);
    let finished = example::run("http_get", &paths);
    check(&finished, 4, 0);
    for shown in [
        "200 OK, 13 bytes: a small file\n",
        "200 OK, 5000000 bytes: xxx",
        list,
        not_found,
    ] {
        assert!(finished.out.contains(shown), "{shown:?}: {finished:?}");
    }
}

#[test]
fn pythons_server() {
    let python = Command::new("python3").arg("--version").output();
    if cfg!(windows) || !python.is_ok_and(|said| said.status.success()) {
        return skipped("there is no python3 here");
    }
    let folder = folder_of_files("http_get.python");
    let mut command = Command::new("python3");
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]);
    command.arg("--directory").arg(folder.join("files"));
    command.stderr(Stdio::null());
    let python = Running::start(&mut command);
    let words = python.first_line.split(' ');
    let port = words.skip_while(|word| *word != "port").nth(1);
    let port = port.and_then(|port| port.parse().ok());
    let port = port.unwrap_or_else(|| panic!("python said {:?}", python.first_line));
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    fetch_files(
        address,
        "<title>Directory listing for /</title>",
        "404 File not found",
    );
}

/// It sends its list of files in chunks.
#[test]
fn nginx() {
    let nginx = Command::new("nginx").arg("-v").output();
    if cfg!(windows) || !nginx.is_ok_and(|said| said.status.success()) {
        return skipped("there is no nginx here");
    }
    let folder = folder_of_files("http_get.nginx");
    // It wants to be told a port. If somebody else is faster, the next one will do.
    for _ in 0..5 {
        if let Some((_nginx, address)) = start_nginx(&folder) {
            return fetch_files(address, "<title>Index of /</title>", "404 Not Found");
        }
    }
    panic!("nginx does not start; its reason is above");
}

/// `None` if it ends at once.
fn start_nginx(folder: &Path) -> Option<(Background, SocketAddr)> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let folder = folder.to_str().unwrap();
    let config = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
         events {{ worker_connections 64; }}
         http {{
             access_log off;
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
             fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
             scgi_temp_path {folder}/scgi;
             server {{ listen {address}; root {folder}/files; autoindex on; }}
         }}"
    );
    let config_file = Path::new(folder).join("nginx.conf");
    fs::write(&config_file, config).unwrap();
    let mut command = Command::new("nginx");
    command
        .args(["-p", folder, "-e", "stderr", "-c"])
        .arg(config_file);
    let mut nginx = Background(command.stdin(Stdio::null()).spawn().unwrap());
    let deadline = Instant::now() + HANG;
    while TcpStream::connect(address).is_err() {
        if nginx.0.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < deadline, "nginx does not listen");
        thread::sleep(Duration::from_millis(10));
    }
    Some((nginx, address))
}

/// Ends with the test.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
