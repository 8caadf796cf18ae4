//! One file a command.

pub(crate) mod bench;
pub(crate) mod call;
pub(crate) mod close;
pub(crate) mod decode;
pub(crate) mod delegate;
pub(crate) mod demo;
pub(crate) mod discover;
pub(crate) mod doctor;
pub(crate) mod keygen;
pub(crate) mod list;
pub(crate) mod open;
pub(crate) mod receipt;
pub(crate) mod request;
pub(crate) mod serve;
pub(crate) mod settle;
pub(crate) mod shell;
pub(crate) mod show;
pub(crate) mod stream;
pub(crate) mod target;
pub(crate) mod top_up;
pub(crate) mod watch;

use crate::arguments::{Arguments, Command};
use crate::settings::Settings;

/// Does what was asked for. Some commands need no cluster, and must work where its configuration is broken.
pub(crate) async fn run(Arguments { common, command }: Arguments) -> anyhow::Result<()> {
    let settings = Settings::read;
    match command {
        Command::Keygen(command) => command.run(&common),
        Command::Discover(command) => command.run(&common).await,
        Command::Open(command) => command.run(&settings(common)?).await,
        Command::TopUp(command) => command.run(&settings(common)?).await,
        Command::Show(command) => command.run(&settings(common)?).await,
        Command::List(command) => command.run(&settings(common)?).await,
        Command::Call(command) => command.run(&settings(common)?).await,
        Command::Stream(command) => command.run(&settings(common)?).await,
        Command::Delegate(command) => command.run(&settings(common)?).await,
        Command::Revoke(command) => command.run(&settings(common)?).await,
        Command::RequestClose(command) => command.run(&settings(common)?).await,
        Command::Close(command) => command.run(&settings(common)?).await,
        Command::Settle(command) => command.run(&settings(common)?).await,
        Command::Receipt(command) => command.run(&settings(common)?).await,
        Command::Watch(command) => command.run(&settings(common)?).await,
        Command::Decode(command) => command.run(&settings(common)?).await,
        Command::Serve(command) => command.run(common).await,
        Command::Doctor(command) => command.run(common).await,
        Command::Demo(command) => command.run(&common).await,
        Command::Bench(command) => command.run(&settings(common)?).await,
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}
