use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use amp_protocol::code::Code;
use rmcp::ServiceError;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CallToolResponse, CallToolResult, CancelledNotification,
    CancelledNotificationParam, ClientRequest, ErrorCode, RequestId, ServerResult,
};
use rmcp::service::{Peer, PeerRequestOptions, RoleClient};

use super::carry::{Answered, ToolCall, failed, refusal};
use crate::client::call::{Call, Place};
use crate::client::service::Service;
use crate::client::{Client, ClientError, Payment};

/// A session with an MCP server whose tools are paid for where they have a price, within the client's policy.
/// What is not a call of a tool goes by rmcp's own [`Peer`].
#[derive(Clone)]
pub struct PaidPeer {
    client: Client,
    pub(super) service: Arc<Service>,
    peer: Peer<RoleClient>,
    /// The server has said that it does not know AMP.
    unpaid: Arc<AtomicBool>,
}

/// What a tool answered, and what was paid for it.
#[derive(Clone, Debug)]
pub struct ToolAnswer {
    response: CallToolResponse,
    payment: Option<Payment>,
}

impl ToolAnswer {
    /// The answer: a result, one that says failure too; or what the tool wants to know before it works, or a
    /// task that it has begun.
    pub fn response(&self) -> &CallToolResponse {
        &self.response
    }

    /// The same.
    pub fn into_response(self) -> CallToolResponse {
        self.response
    }

    /// The result, or `None` where the tool is not done.
    pub fn into_result(self) -> Option<CallToolResult> {
        match self.response {
            CallToolResponse::Complete(result) => Some(result),
            _ => None,
        }
    }

    /// What was paid, or `None` where the call was free.
    pub fn payment(&self) -> Option<&Payment> {
        self.payment.as_ref()
    }
}

impl Client {
    /// Pays for the tools of an MCP server by `peer`, a session with it. `url` is what the server is known
    /// by: its address, or where it has none a name of the agent's choosing, as `mcp://weather`. See
    /// [`mcp`](super).
    pub fn mcp(&self, url: &str, peer: Peer<RoleClient>) -> Result<PaidPeer, ClientError> {
        let service = self.service_of(url)?;
        service.connect(peer.clone());
        Ok(PaidPeer { client: self.clone(), service, peer, unpaid: Arc::default() })
    }
}

impl PaidPeer {
    /// Calls a tool, and pays for it if it has a price. The first call asks the server for its prices and
    /// opens the channel. A call that is lost is not repeated: whether it was served is not known.
    ///
    /// # Errors
    /// [`ClientError::Mcp`] where the tool or the session failed; otherwise what [`Client::execute`] has.
    pub async fn call_tool(&self, params: CallToolRequestParams) -> Result<ToolAnswer, ClientError> {
        if self.unpaid.load(Ordering::Relaxed) {
            return self.unpaid(params).await;
        }
        let place = Place::Tool(params.name.to_string());
        let call = match Call::of(&self.client, &self.service, place).await {
            Err(error) if knows_no_amp(&error) => {
                self.unpaid.store(true, Ordering::Relaxed);
                return self.unpaid(params).await;
            }
            call => call?,
        };
        if call.is_free() {
            return self.unpaid(params).await;
        }
        let mode = call.mode();
        let (answered, payment, _) = call.pay(ToolCall { tools: self, params, mode }).await?;
        let response = answered.map_err(|error| match refusal(&error) {
            // it stopped where nothing more was signed for; what it had counted is paid
            Some(refusal) => refusal.into(),
            None => failed(&self.service, error),
        })?;
        Ok(ToolAnswer { response, payment: Some(payment) })
    }

    /// The session.
    pub fn peer(&self) -> &Peer<RoleClient> {
        &self.peer
    }

    async fn unpaid(&self, params: CallToolRequestParams) -> Result<ToolAnswer, ClientError> {
        match self.send(params).await {
            Ok(response) => Ok(ToolAnswer { response, payment: None }),
            Err(error) => Err(match refusal(&error) {
                // not free after all
                Some(refusal) if refusal.body.error == Code::NoChannel => refusal.into(),
                _ => failed(&self.service, error),
            }),
        }
    }

    /// Sends a call as it is. One that is too late, or is dropped here, is called off.
    pub(super) async fn send(&self, params: CallToolRequestParams) -> Answered {
        let limit = self.client.inner.settings.options.timeout;
        // a tool that says how far it is may take longer
        let options = PeerRequestOptions::with_timeout(limit).reset_timeout_on_progress();
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
        let sent = self.peer.send_request_with_option(request, options).await?;
        let mut waiting = Waiting { peer: &self.peer, id: Some(sent.id.clone()) };
        let answered = sent.await_response().await;
        waiting.id = None;
        match answered? {
            ServerResult::CallToolResult(result) => Ok(CallToolResponse::Complete(result)),
            ServerResult::InputRequiredResult(result) => Ok(CallToolResponse::InputRequired(result)),
            ServerResult::CreateTaskResult(result) => Ok(CallToolResponse::Task(result)),
            _ => Err(ServiceError::UnexpectedResponse),
        }
    }
}

/// A call that is waited for. rmcp calls off what takes too long; who stops waiting before that does it here,
/// so that the server sets nothing aside for a call that nobody wants any more.
struct Waiting<'a> {
    peer: &'a Peer<RoleClient>,
    id: Option<RequestId>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let peer = self.peer.clone();
        let called_off = CancelledNotificationParam::new(Some(id), Some("nobody waits for it".to_owned()));
        runtime.spawn(async move {
            let called_off = CancelledNotification::new(called_off);
            if let Err(error) = peer.send_notification(called_off.into()).await {
                tracing::debug!(%error, "a call could not be called off");
            }
        });
    }
}

/// Whether a server does not know `amp/pricing`. Some call an unknown method's params invalid.
fn knows_no_amp(error: &ClientError) -> bool {
    let ClientError::Mcp(error) = error else { return false };
    let unknown = [ErrorCode::METHOD_NOT_FOUND, ErrorCode::INVALID_PARAMS];
    matches!(&**error, ServiceError::McpError(data) if unknown.contains(&data.code))
}
