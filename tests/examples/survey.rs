//! Plays many random schedules and counts what breaks, without stopping at the first and without shrinking.
//!
//! ```text
//! cargo run --release -p ackline-tests --example survey -- FIRST COUNT [COMPARED_EVERY] [compact | tailored]
//! ```
//!
//! With `compact`, one or both of the links are compact ones, with `tailored`, tailored ones with everything on. Seeds from
//! 10000000000 on are those of the second generator (`ackline_tests::schedule::WIDE`).
//!
//! Ends with one line per kind of failure (rule, or place of a panic): how often, the first seeds, and one detail. To look at one:
//! `ACKLINE_SEED=n cargo test -p ackline-tests --test schedules`.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ackline_tests::compact::Compact;
use ackline_tests::link::Ackline;
use ackline_tests::schedule::{Subject, check, schedule_of};
use ackline_tests::tailored::AllFeatures;

/// Seeds shown per kind of failure.
const SHOWN: usize = 8;

type Findings = BTreeMap<String, (u64, Vec<u64>, String)>;

static PANIC_PLACE: Mutex<String> = Mutex::new(String::new());

fn play<S: Subject>(subject: &S, seed: u64, compares: bool) -> Option<(String, String)> {
    match catch_unwind(AssertUnwindSafe(|| check(subject, &schedule_of(seed), compares))) {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => {
            let detail = violation.broken.detail;
            // What is the same in every report of the same kind: the words before the first colon, without numbers.
            let words: String =
                detail.chars().take_while(|c| *c != ':').filter(|c| !c.is_ascii_digit()).collect();
            let words = words.chars().take(48).collect::<String>();
            Some((format!("{:?}: {words}", violation.broken.rule), detail))
        }
        Err(_) => Some((PANIC_PLACE.lock().map(|p| p.clone()).unwrap_or_default(), String::new())),
    }
}

fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let first = numbers.first().copied().unwrap_or(0);
    let count = numbers.get(1).copied().unwrap_or(1_000);
    let compared_every = numbers.get(2).copied().unwrap_or(10).max(1);
    let is_compact = std::env::args().any(|a| a == "compact");
    let is_tailored = std::env::args().any(|a| a == "tailored");
    std::panic::set_hook(Box::new(|info| {
        let place =
            info.location().map(|l| format!("panic at {}:{}", l.file(), l.line())).unwrap_or_default();
        if let Ok(mut shown) = PANIC_PLACE.lock() {
            *shown = place;
        }
    }));
    let next = AtomicU64::new(first);
    let findings: Mutex<Findings> = Mutex::default();
    let thread_count = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..thread_count {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let compares = seed.is_multiple_of(compared_every);
                    let finding = if is_compact {
                        play(&Compact, seed, compares)
                    } else if is_tailored {
                        play(&AllFeatures, seed, compares)
                    } else {
                        play(&Ackline, seed, compares)
                    };
                    let Some((kind, detail)) = finding else { continue };
                    let mut findings = findings.lock().expect("nothing panics while it holds this lock");
                    let found = findings.entry(kind).or_insert_with(|| (0, Vec::new(), detail));
                    found.0 += 1;
                    if found.1.len() < SHOWN {
                        found.1.push(seed);
                    }
                }
            });
        }
    });
    let findings = findings.into_inner().expect("all threads have ended");
    let failed: u64 = findings.values().map(|f| f.0).sum();
    println!("{count} schedules from seed {first}: {failed} failed");
    for (kind, (count, seeds, detail)) in findings {
        println!("{count:>7}  {kind}  seeds {seeds:?}  {}", detail.chars().take(240).collect::<String>());
    }
    std::process::exit(i32::from(failed > 0));
}
