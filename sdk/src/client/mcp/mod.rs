//! MCP tools that are paid for: by the call, or by the seconds, bytes or units that a call takes.
//!
//! ```no_run
//! use amp_sdk::client::{Client, ClientError};
//! use rmcp::model::CallToolRequestParams;
//! use rmcp::service::{Peer, RoleClient};
//!
//! # async fn agent(client: Client, peer: Peer<RoleClient>) -> Result<(), ClientError> {
//! // `peer` is rmcp's: of a process that was started, or of a streamable HTTP endpoint
//! let tools = client.mcp("mcp://weather", peer)?;
//! let answer = tools.call_tool(CallToolRequestParams::new("forecast")).await?;
//! println!("{:?} for {:?}", answer.response(), answer.payment());
//! client.close("mcp://weather").await?;
//! # Ok(())
//! # }
//! ```
//!
//! **The name.** Channels, limits and books are kept by a URL, as for HTTP. A server over streamable HTTP has
//! one: give that, and it shares the channel with whatever else its origin sells. One over a pipe has none,
//! so the agent names it: `mcp://weather`. The name is the agent's own word, like the name in its list of
//! servers; what the server says of itself does not count, or one that names another's recipient would be
//! paid from the other's channel. Who is paid under a name is fixed by its first channel
//! ([`ClientError::RecipientChanged`](crate::client::ClientError::RecipientChanged)). In the policy the name
//! is the host: `allow_host("weather")`. A pipe counts as this machine, so no TLS is asked for.
//!
//! **Metered tools.** A tool that is paid for by what is counted is signed for while it works, up to
//! [`metered_budget`](crate::client::ClientBuilder::metered_budget): the server is asked whether it waits.
//!
//! **Sessions.** A new session is told by calling [`Client::mcp`](crate::client::Client::mcp) again;
//! everything else goes on where it was. While there is none, `status` and `close` of an `mcp://` name can't
//! ask the server: a close then is a request, and the deposit comes back after the grace period.

mod carry;
mod operations;
mod peer;

pub(super) use operations::{ask, discover};
pub use peer::{PaidPeer, ToolAnswer};
