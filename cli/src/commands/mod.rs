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

/// Does what was asked for.
pub(crate) async fn run(Arguments { common, command }: Arguments) -> anyhow::Result<()> {
    match command {
        // these need no cluster, and must work where its configuration is broken
        Command::Keygen(command) => return command.run(&common),
        Command::Discover(command) => return command.run(&common).await,
        Command::Completions(command) => return command.run(),
        Command::Man(command) => return command.run(),
        Command::Demo(command) => return command.run(&common).await,
        Command::Serve(command) => return command.run(common).await,
        Command::Doctor(command) => return command.run(common).await,
        _ => {}
    }
    let settings = Settings::read(common)?;
    match command {
        Command::Open(command) => command.run(&settings).await,
        Command::TopUp(command) => command.run(&settings).await,
        Command::Show(command) => command.run(&settings).await,
        Command::List(command) => command.run(&settings).await,
        Command::Call(command) => command.run(&settings).await,
        Command::Stream(command) => command.run(&settings).await,
        Command::Delegate(command) => command.run(&settings).await,
        Command::Revoke(command) => command.run(&settings).await,
        Command::RequestClose(command) => command.run(&settings).await,
        Command::Close(command) => command.run(&settings).await,
        Command::Settle(command) => command.run(&settings).await,
        Command::Receipt(command) => command.run(&settings).await,
        Command::Watch(command) => command.run(&settings).await,
        Command::Decode(command) => command.run(&settings).await,
        Command::Bench(command) => command.run(&settings).await,
        Command::Keygen(_)
        | Command::Discover(_)
        | Command::Completions(_)
        | Command::Man(_)
        | Command::Demo(_)
        | Command::Serve(_)
        | Command::Doctor(_) => Ok(()),
    }
}
