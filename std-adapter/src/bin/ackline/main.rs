//! The `ackline` command.

mod args;
mod demo;
mod hash;
mod listen;
mod percentiles;
mod ping;
mod proxy;
mod send;
mod store;
mod transfer;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command.unwrap_or_default() {
        Command::Demo(demo) => demo::run(&demo),
        Command::Listen(listen) => listen::run(&listen),
        Command::Send(send) => send::run(&send),
        Command::Proxy(proxy) => proxy::run(&proxy),
        Command::Ping(ping) => ping::run(&ping),
        Command::DemoReceiver(receiver) => demo::receiver::run(&receiver),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ackline: {error:#}");
            ExitCode::FAILURE
        }
    }
}
