//! One call of a tool, there and back, and what the answer says of its payment.

use amp_protocol::code::Code;
use amp_protocol::json::{CredentialBody, ErrorBody, PricingMode, ReceiptBody};
use amp_protocol::text::mcp;
use rmcp::ServiceError;
use rmcp::model::{CallToolRequestParams, CallToolResponse, MetaObject};
use serde::Deserialize as _;
use serde_json::Value;

use super::operations::meta_with;
use super::peer::PaidPeer;
use crate::client::ClientError;
use crate::client::call::{Carried, Carrier, Refusal, Said};
use crate::client::service::Service;
use crate::client::tab::{Begun, seconds_at_most};
use crate::mcp::bytes_of;

/// A tool's own answer: a failure of the tool can have been charged too.
pub(super) type Answered = Result<CallToolResponse, ServiceError>;

pub(super) struct ToolCall<'a> {
    pub(super) tools: &'a PaidPeer,
    pub(super) params: CallToolRequestParams,
    pub(super) mode: PricingMode,
}

impl Carrier for ToolCall<'_> {
    type Answer = Answered;

    async fn carry(&mut self, credential: &CredentialBody) -> Result<Carried<Answered>, ClientError> {
        let mut params = self.params.clone();
        params.meta = Some(meta_with(params.meta.unwrap_or_default(), credential));
        let begun = Begun::now();
        let answered = self.tools.send(params).await;
        let mut said = match &answered {
            Ok(response) => said(meta_of(response).and_then(|meta| meta.0.get(mcp::META))),
            Err(error) => said(data_of(error).and_then(|data| data.get(mcp::META))),
        };
        said.counted = match self.mode {
            PricingMode::PerSecond => Some(seconds_at_most(begun.elapsed())),
            PricingMode::PerByte => Some(bytes_in(&answered)),
            // one price, and what only the tool knows
            PricingMode::PerCall | PricingMode::PerCompute => None,
        };
        match answered {
            Err(error) if said.spent.is_none() => match refusal(&error) {
                Some(refusal) => Ok(Carried::Refused(refusal)),
                // it may have been served
                None => Err(failed(&self.tools.service, error)),
            },
            answered => Ok(Carried::Answered(answered, said)),
        }
    }
}

/// A refusal by the protocol, if it is one: nothing was charged.
pub(super) fn refusal(error: &ServiceError) -> Option<Refusal> {
    let ServiceError::McpError(data) = error else { return None };
    let code: Code = data.message.parse().ok()?;
    let body = ErrorBody::deserialize(data_of(error)?).ok()?;
    (body.error == code).then(|| Refusal { status: code.http_status(), body: Box::new(body) })
}

pub(super) fn failed(service: &Service, error: ServiceError) -> ClientError {
    match error {
        ServiceError::Timeout { timeout } => {
            ClientError::TimedOut { url: service.name.clone(), seconds: timeout.as_secs() }
        }
        error => ClientError::Mcp(Box::new(error)),
    }
}

/// What a price by the byte counts of an answer.
fn bytes_in(answered: &Answered) -> u64 {
    match answered {
        Ok(CallToolResponse::Complete(result)) => bytes_of(result),
        _ => 0,
    }
}

fn data_of(error: &ServiceError) -> Option<&Value> {
    match error {
        ServiceError::McpError(error) => error.data.as_ref(),
        _ => None,
    }
}

fn meta_of(response: &CallToolResponse) -> Option<&MetaObject> {
    match response {
        CallToolResponse::Complete(result) => result.meta.as_ref(),
        CallToolResponse::InputRequired(result) => result.meta.as_ref(),
        CallToolResponse::Task(result) => result.meta.as_ref(),
        _ => None,
    }
}

/// One that can't be read says nothing.
fn said(receipt: Option<&Value>) -> Said {
    let receipt = receipt.and_then(|receipt| ReceiptBody::deserialize(receipt).ok());
    receipt.map_or_else(Said::default, |ReceiptBody { balance, spent, cost, .. }| Said {
        cost,
        spent: Some(spent),
        balance: Some(balance),
        ended: true,
        ..Said::default()
    })
}
