// SPDX-License-Identifier: Apache-2.0

//! The ttrpc crate, as Kata's runtime uses it, against the agent: its blocking client and
//! its asynchronous one. Prints TAP.
//!
//!     interop PATH-OF-SOCKET

use std::os::unix::io::{IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use ttrpc::{Code, Error, Request, Response};

const AGENT: &str = "vmctl.agent.v1.GuestAgent";
const TEST: &str = "vmctl.test.Streams";

type Outcome = Result<(), String>;

/// Field 1 of a message, as bytes.
fn field(value: &[u8]) -> Vec<u8> {
    let mut out = vec![0x0a];
    let mut len = value.len();
    while len > 0x7f {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(value);
    out
}

fn request(service: &str, method: &str, payload: Vec<u8>, timeout: Duration) -> Request {
    let mut request = Request::new();
    request.set_service(service.into());
    request.set_method(method.into());
    request.set_timeout_nano(timeout.as_nanos() as i64);
    request.set_payload(payload);
    request
}

fn ping(text: &str) -> Request {
    request(AGENT, "Ping", field(text.as_bytes()), Duration::from_secs(30))
}

fn expect_text(answer: ttrpc::Result<Response>, text: &str) -> Outcome {
    let answer = answer.map_err(|e| e.to_string())?;
    if answer.get_payload() == field(text.as_bytes()) {
        Ok(())
    } else {
        Err(format!("sent {text:?}, got {:?}", answer.get_payload()))
    }
}

fn expect_status(answer: ttrpc::Result<Response>, code: Code) -> Outcome {
    match answer {
        Err(Error::RpcStatus(status)) if status.get_code() == code => Ok(()),
        other => Err(format!("expected {code:?}, got {other:?}")),
    }
}

/// What is to come of a request.
enum Wanted {
    Text(&'static str),
    Status(Code),
    TimeOut,
}

fn check(wanted: &Wanted, answer: ttrpc::Result<Response>) -> Outcome {
    match wanted {
        Wanted::Text(text) => expect_text(answer, text),
        Wanted::Status(code) => expect_status(answer, *code),
        // Whichever of the two ends sees it first.
        Wanted::TimeOut => match answer {
            Err(Error::RpcStatus(s)) if s.get_code() != Code::DEADLINE_EXCEEDED => {
                Err(format!("expected a time-out, got {s:?}"))
            }
            Err(_) => Ok(()),
            Ok(_) => Err("expected a time-out, got an answer".into()),
        },
    }
}

fn cases() -> Vec<(&'static str, Request, Wanted)> {
    let long = Duration::from_secs(30);
    vec![
        ("a unary call", ping("hello"), Wanted::Text("hello")),
        (
            "an unknown method",
            request(AGENT, "Explode", vec![], long),
            Wanted::Status(Code::UNIMPLEMENTED),
        ),
        (
            "an unknown service",
            request("no.Service", "Ping", vec![], long),
            Wanted::Status(Code::UNIMPLEMENTED),
        ),
        (
            "a time-out",
            request(TEST, "Hang", vec![], Duration::from_millis(100)),
            Wanted::TimeOut,
        ),
        (
            "garbage in a payload",
            request(AGENT, "OnlineCpus", vec![0xff; 20], long),
            Wanted::Status(Code::INVALID_ARGUMENT),
        ),
    ]
}

const TASKS: usize = 50;
const CALLS: usize = 100;

/// The crate itself dials abstract sockets only. The client that gets it closes it.
fn dial(path: &str) -> Result<RawFd, String> {
    let stream = UnixStream::connect(path).map_err(|e| e.to_string())?;
    Ok(stream.into_raw_fd())
}

fn blocking(path: &str) -> Result<ttrpc::Client, String> {
    Ok(ttrpc::Client::new(dial(path)?))
}

fn blocking_case(path: &str, request: Request, wanted: &Wanted) -> Outcome {
    let client = blocking(path)?;
    check(wanted, client.request(request))?;
    expect_text(client.request(ping("still there")), "still there")
}

fn blocking_many(path: &str) -> Outcome {
    let client = blocking(path)?;
    let threads: Vec<_> = (0..TASKS)
        .map(|i| {
            let client = client.clone();
            std::thread::spawn(move || {
                (0..CALLS).try_for_each(|j| {
                    let text = format!("{j} of {i}");
                    expect_text(client.request(ping(&text)), &text)
                })
            })
        })
        .collect();
    threads.into_iter().try_for_each(|t| t.join().unwrap())
}

fn asynchronous(path: &str) -> Result<ttrpc::r#async::Client, String> {
    Ok(ttrpc::r#async::Client::new(dial(path)?))
}

async fn asynchronous_case(path: &str, request: Request, wanted: &Wanted) -> Outcome {
    let mut client = asynchronous(path)?;
    check(wanted, client.request(request).await)?;
    expect_text(client.request(ping("still there")).await, "still there")
}

async fn asynchronous_many(path: &str) -> Outcome {
    let client = asynchronous(path)?;
    let mut tasks = Vec::new();
    for i in 0..TASKS {
        let mut client = client.clone();
        tasks.push(tokio::spawn(async move {
            for j in 0..CALLS {
                let text = format!("{j} of {i}");
                expect_text(client.request(ping(&text)).await, &text)?;
            }
            Ok::<(), String>(())
        }));
    }
    for task in tasks {
        task.await.map_err(|e| e.to_string())??;
    }
    Ok(())
}

struct Tap {
    done: usize,
    failed: bool,
}

impl Tap {
    fn report(&mut self, client: &str, name: &str, outcome: Outcome) {
        self.done += 1;
        match outcome {
            Ok(()) => println!("ok {} {client}: {name}", self.done),
            Err(e) => {
                self.failed = true;
                println!("not ok {} {client}: {name}\n# {e}", self.done);
            }
        }
    }
}

#[tokio::main(worker_threads = 4)]
async fn main() {
    let path = std::env::args().nth(1).expect("usage: interop PATH");
    let mut tap = Tap { done: 0, failed: false };
    println!("1..{}", 2 * (cases().len() + 1));
    for (name, request, wanted) in cases() {
        let outcome = blocking_case(&path, request, &wanted);
        tap.report("blocking", name, outcome);
    }
    tap.report("blocking", "many calls at once", blocking_many(&path));
    for (name, request, wanted) in cases() {
        let outcome = asynchronous_case(&path, request, &wanted).await;
        tap.report("asynchronous", name, outcome);
    }
    let outcome = asynchronous_many(&path).await;
    tap.report("asynchronous", "many calls at once", outcome);
    std::process::exit(tap.failed.into());
}
