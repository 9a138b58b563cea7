//! The `ackline` command: what it does, and what it says when it is used badly.
#![cfg(feature = "cli")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

fn ackline() -> Command {
    Command::new(env!("CARGO_BIN_EXE_ackline"))
}

fn run(arguments: &[&str]) -> Output {
    ackline().args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs a command that must fail, and returns the one line it says.
fn complaint(arguments: &[&str]) -> String {
    one_line(&run(arguments))
}

fn one_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it succeeded: {text}");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("ackline: ")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    lines[0].to_owned()
}

struct Listen {
    process: Child,
    address: String,
}

impl Listen {
    fn start(dir: &Path, options: &[&str], out: Stdio) -> Self {
        let mut process = ackline()
            .args(["listen", "127.0.0.1:0", "--dir"])
            .arg(dir)
            .args(options)
            .stdout(out)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        let mut errors = BufReader::with_capacity(1, process.stderr.take().unwrap());
        errors.read_line(&mut first).unwrap();
        process.stderr = Some(errors.into_inner());
        let address = first.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{first}"));
        Listen { address: address.to_owned(), process }
    }
}

impl Drop for Listen {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn files_arrive_as_they_were_sent() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let big: Vec<u8> = (0..1_000_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    fs::write(from.path().join("big"), &big).unwrap();
    fs::write(from.path().join("empty"), "").unwrap();
    let mut listen = Listen::start(to.path(), &["--once"], Stdio::null());
    let paths = ["big", "empty"].map(|name| from.path().join(name).to_string_lossy().into_owned());
    let sent = run(&["send", &listen.address, &paths[0], &paths[1], "--json"]);
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&sent.stdout).unwrap();
    assert_eq!(figures["settled"], figures["messages"]);
    assert_eq!(figures["not_settled"], 0);
    assert_eq!(figures["payload_bytes"], 1_000_000);
    assert!(listen.process.wait().unwrap().success());
    assert!(fs::read(to.path().join("big")).unwrap() == big);
    assert_eq!(fs::read(to.path().join("empty")).unwrap(), b"");
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn lines_of_standard_input_come_out_at_the_other_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut listen = Listen::start(dir.path(), &["--once"], Stdio::piped());
    let mut send = ackline()
        .args(["send", &listen.address, "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = "one\n\nthree\nwithout an end";
    send.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(send.wait().unwrap().success());
    let mut text = String::new();
    listen.process.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "one\n\nthree\nwithout an end\n");
}

#[test]
fn ping_measures_every_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let listen = Listen::start(dir.path(), &[], Stdio::null());
    let output = run(&["ping", &listen.address, "-c", "20", "-i", "1ms", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let times = &figures["round_trip_micros"];
    assert_eq!(times["count"], 20);
    assert!(times["min"].as_u64() > Some(0));
    assert!(times["p50"].as_u64() <= times["p99"].as_u64());
}

#[test]
fn proxy_counts_what_it_relays() {
    let dir = tempfile::tempdir().unwrap();
    let listen = Listen::start(dir.path(), &[], Stdio::null());
    // A free port, taken again at once; nobody else asks for one of this address.
    let free = UdpSocket::bind("127.0.9.1:0").unwrap().local_addr().unwrap().to_string();
    let mut proxy = ackline()
        .args(["proxy", "udp", &free, &listen.address, "--loss", "10%", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ping = run(&["ping", &free, "-c", "100", "-i", "1ms"]);
    // It tells its figures every second, those of the end of the ping within a minute at the latest.
    let told = BufReader::new(proxy.stdout.take().unwrap()).lines().map_while(Result::ok).take(60);
    let mut figures = told.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
    let figures = figures.find(|figures| figures["forward"]["taken"].as_u64() >= Some(100));
    proxy.kill().unwrap();
    proxy.wait().unwrap();
    assert!(ping.status.success(), "{}", String::from_utf8_lossy(&ping.stderr));
    let figures = figures.expect("it counts what the ping sent");
    assert!(figures["forward"]["lost"].as_u64() > Some(0), "{figures}");
    assert_eq!(figures["clients"], 1);
}

#[test]
fn nobody_at_the_address() {
    // A port that no test is given by the system.
    let text = complaint(&["ping", "127.0.0.1:1", "--timeout", "300ms"]);
    assert!(text.contains("no answer") && text.contains("ackline listen"), "{text}");
    // Not an address, whatever a name server says.
    let text = complaint(&["send", "127.0.0.1:99999", env!("CARGO_MANIFEST_PATH"), "--timeout", "300ms"]);
    assert!(text.contains("cannot connect to 127.0.0.1:99999"), "{text}");
}

#[test]
fn port_that_is_taken() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = complaint(&["listen", &address]);
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
    let text = complaint(&["proxy", "udp", &address, "127.0.0.1:9"]);
    assert!(text.contains(&address), "{text}");
}

#[test]
fn file_that_cannot_be_read() {
    for command in [&["send", "127.0.0.1:9", "/no/such/file"][..], &["demo", "/no/such/file"]] {
        let text = complaint(command);
        assert!(text.contains("cannot read /no/such/file"), "{text}");
    }
}

#[test]
fn message_over_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let listen = Listen::start(dir.path(), &["--message-max", "1000"], Stdio::null());
    let mut send = ackline()
        .args(["send", &listen.address, "-", "--timeout", "30s"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let long = "x".repeat(2000);
    send.stdin.take().unwrap().write_all(format!("short\n{long}\n").as_bytes()).unwrap();
    let text = one_line(&send.wait_with_output().unwrap());
    assert!(text.contains("line 2") && text.contains("at most 1000 bytes"), "{text}");
}

#[test]
fn option_that_does_not_exist() {
    for command in [&["send", "--fast"][..], &["--fast"], &["fly"], &["demo", "--loss", "120%"]] {
        let output = run(command);
        assert_eq!(output.status.code(), Some(2), "{command:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "), "{command:?}");
    }
}

/// A peer on `socket` that answers each datagram as `answer` says, until it is dropped.
struct Other {
    address: String,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Other {
    fn start(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let is_over = is_over.clone();
            move || {
                let mut buffer = [0; 2048];
                while !is_over.load(Ordering::Relaxed) {
                    if let Ok((len, from)) = socket.recv_from(&mut buffer) {
                        socket.send_to(&answer(&buffer[..len]), from).unwrap();
                    }
                }
            }
        });
        Other { address, is_over, thread: Some(thread) }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn peer_of_another_kind_that_never_answers_in_the_protocol() {
    let other = Other::start(|_| b"220 mail.example ESMTP\r\n".to_vec());
    let text = complaint(&["ping", &other.address, "--timeout", "500ms"]);
    assert!(text.contains("no answer"), "{text}");
}

/// CRC-32C, bit by bit: the check of packets outside an association.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |c, _| if c & 1 == 1 { (c >> 1) ^ 0x82f6_3b78 } else { c >> 1 })
    })
}

#[test]
fn peer_of_another_version_is_named() {
    let other = Other::start(|hello| {
        // First byte, version, empty id, 3-byte id, incarnation; the answer names it and version 9.
        let mut answer = vec![0x83];
        answer.extend_from_slice(&hello[7..15]);
        answer.push(9);
        answer.extend_from_slice(&crc32c(&answer).to_le_bytes());
        answer
    });
    let text = complaint(&["ping", &other.address, "--timeout", "30s"]);
    assert!(text.contains("version 9"), "{text}");
}

#[test]
fn receiver_without_room_refuses_and_settles_nothing() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut listen = Listen::start(dir.path(), &["--once"], full.into());
    let mut send = ackline()
        .args(["send", &listen.address, "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    send.stdin.take().unwrap().write_all(b"one\ntwo\n").unwrap();
    let output = send.wait_with_output().unwrap();
    let text = one_line(&output);
    assert!(text.contains("No space left"), "{text}");
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["settled"], 0, "{figures}");
    assert_eq!(figures["not_settled"], 2, "{figures}");
    assert!(!listen.process.wait().unwrap().success(), "the receiver must fail, too");
}

#[test]
fn receiver_that_cannot_write_files_refuses() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = to.path().join("gone");
    fs::create_dir(&dir).unwrap();
    let file = from.path().join("file");
    fs::write(&file, "content").unwrap();
    let listen = Listen::start(&dir, &["--once"], Stdio::null());
    fs::remove_dir(&dir).unwrap();
    let text = complaint(&["send", &listen.address, &file.to_string_lossy(), "--timeout", "5s"]);
    assert!(text.contains("the receiver refused") || text.contains("the peer closed"), "{text}");
    let text = complaint(&["listen", "127.0.0.1:0", "--dir", "/no/such/dir"]);
    assert!(text.contains("/no/such/dir is not a directory"), "{text}");
}

#[test]
fn stream_that_cannot_be_opened() {
    // Nobody else asks for a port of this address.
    let gone = TcpListener::bind("127.0.9.2:0").unwrap().local_addr().unwrap();
    let text = complaint(&["proxy", "stream", &format!("tcp:{gone}"), "unix:/no/such/socket"]);
    assert!(text.contains(&format!("cannot open tcp:{gone}")), "{text}");
}

#[test]
fn demonstration_survives_a_kill_and_proves_it() {
    let output = run(&["demo", "--json", "--kills", "1", "--timeout", "300s", env!("CARGO_BIN_EXE_ackline")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["settled"], figures["messages"], "{figures}");
    assert_eq!(figures["settled_but_not_accepted"], 0, "{figures}");
    assert_eq!(figures["files_differing"], 0, "{figures}");
    assert_eq!(figures["kills"], 1, "{figures}");
    assert_eq!(figures["restarts_noticed"], 1, "{figures}");
    assert!(figures["datagrams_lost_on_path"].as_u64() > Some(0), "{figures}");
}
