use clap::Args;

use crate::settings::Common;

/// Lives the whole life of a channel on an embedded chain, with the real program, a real HTTP service and the real
/// client, and prints what became of the money. Needs the program's bytecode (`make program`), and no cluster.
#[derive(Args)]
pub(crate) struct Demo {
    #[cfg(feature = "demo")]
    #[command(flatten)]
    options: amp_demo::Options,
}

impl Demo {
    #[cfg(feature = "demo")]
    pub(crate) async fn run(&self, common: &Common) -> anyhow::Result<()> {
        self.options.run(common.json).await
    }

    #[cfg(not(feature = "demo"))]
    #[allow(clippy::unused_async, reason = "as with the feature")]
    pub(crate) async fn run(&self, _common: &Common) -> anyhow::Result<()> {
        let text = "this amp was built without the embedded chain; run `make demo`, or build it with --features demo";
        Err(crate::exit::failure(crate::exit::Exit::Failed, text))
    }
}
