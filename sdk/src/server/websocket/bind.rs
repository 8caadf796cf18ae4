use amp_protocol::json::{CredentialBody, Pricing, SocketAck, SocketBind, SocketError, SocketFault};
use axum::extract::ws::Message as Frame;

use super::refusal::{of_denial, of_frame};
use super::wire::{NoFrame, Wire};
use crate::server::denial::Denial;
use crate::server::metering::Meter;
use crate::server::service::AmpService;

/// A socket that somebody pays for.
pub(super) struct Bound {
    pub(super) credential: CredentialBody,
    pub(super) meter: Meter,
    pub(super) ack: SocketAck,
}

/// Reads the first frame and admits whoever it names. `None`: the client has left.
pub(super) async fn bind(
    wire: &Wire,
    service: &AmpService,
    pricing: &Pricing,
) -> Result<Option<Bound>, SocketError> {
    let credential = loop {
        match wire.next().await {
            Ok(Frame::Text(text)) => break read(service, &text),
            Ok(Frame::Binary(_)) => break read(service, ""),
            Ok(_) => {}
            Err(NoFrame::Left) => return Ok(None),
            Err(NoFrame::Bad(error)) => return Err(error),
        }
    };
    let refused = |denial: Denial| of_denial(&denial, pricing);
    let credential = credential.map_err(refused)?;
    let meter = service.authorize_metered(&credential, pricing.rate()).await.map_err(refused)?;
    let status = service.channel_status(&credential).await.map_err(refused)?;
    let ack =
        SocketAck { amp_status: "open".to_owned(), amp_balance: status.balance, amp_spent: status.spent };
    Ok(Some(Bound { credential, meter, ack }))
}

fn read(service: &AmpService, text: &str) -> Result<CredentialBody, Denial> {
    let requests = &service.core.metrics.requests;
    SocketBind::parse(text).map(CredentialBody::from).map_err(|error| match error {
        amp_protocol::json::SocketFrameError::NoCredential => requests.no_credential(of_frame(error)),
        amp_protocol::json::SocketFrameError::Field(_) => requests.unreadable(of_frame(error)),
    })
}

/// No first frame came in time.
pub(super) fn too_late() -> SocketError {
    SocketError::fault(SocketFault::Timeout, "no frame came that says who pays; open the socket again")
}
