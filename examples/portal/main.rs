//! The customer's own page: who is cut off by `sec` signs in with the account of his phone, sees
//! the address he comes from, whether it is banned and why, and frees it for an hour.
//!
//! A program of its own: it shares with the registrar its table of subscribers and with the fleet
//! its Redis, and never talks to Kamailio. It serves plain HTTP for a reverse proxy on the same
//! machine (README.md). Files: `options` the command line, `visitor` who is asking, `accounts` the
//! passwords, `sessions` who is signed in, `fleet` what Redis knows of an address, `allowance`
//! how often somebody may, `site` the routes, `pages` the HTML.
//!
//! Why axum: it is a thin layer over hyper and tokio, which the module's agent runs on as well,
//! and gives what a hand-written server gets wrong (limits of a body, forms, HEAD, keep-alive).
#![forbid(unsafe_code)]

mod accounts;
mod allowance;
mod fleet;
mod options;
mod pages;
mod sessions;
mod site;
mod visitor;

use std::net::SocketAddr;
use std::process::ExitCode;

use options::{Command, Options};
use site::Site;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help) => {
            print!("{}", options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("portal: {error}\n\n{}", options::HELP);
            return ExitCode::from(2);
        }
    };
    match run(*options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portal: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    // For `rediss://`; an error says that there is one already, which is as good.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(async {
        let wanted = options.listen;
        let site = Site::new(options)?;
        let listener = tokio::net::TcpListener::bind(wanted)
            .await
            .map_err(|error| format!("--listen {wanted}: {error}"))?;
        let listening = listener.local_addr().unwrap_or(wanted);
        println!("portal: http://{listening}/");
        let service = site::routes(site).into_make_service_with_connect_info::<SocketAddr>();
        axum::serve(listener, service)
            .await
            .map_err(|error| format!("stopped: {error}"))
    })
}
