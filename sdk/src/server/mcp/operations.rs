//! `amp/*`: what HTTP has below `/.well-known/amp`, as methods of the session.

use amp_protocol::json::CredentialBody;
use amp_protocol::text::mcp;
use rmcp::ErrorData;
use rmcp::model::{CustomRequest, CustomResult, RequestMetaObject};
use serde::Serialize;
use serde_json::{Value, json};

use super::call::receipt_body;
use super::credential;
use super::refusal::refused;
use crate::server::denial::Denial;
use crate::server::service::AmpService;

#[derive(Clone, Copy)]
pub(super) enum Operation {
    Pricing,
    Raise,
    Status,
    Close,
}

impl Operation {
    /// The operation of this method, if it is one.
    pub(super) fn of(method: &str) -> Option<Self> {
        match method {
            mcp::PRICING => Some(Self::Pricing),
            mcp::CREDENTIAL => Some(Self::Raise),
            mcp::CHANNEL => Some(Self::Status),
            mcp::CLOSE => Some(Self::Close),
            _ => None,
        }
    }

    pub(super) async fn answer(
        self,
        service: &AmpService,
        request: &CustomRequest,
        meta: &mut RequestMetaObject,
    ) -> Result<CustomResult, ErrorData> {
        let answered = match self {
            Self::Pricing => value(&service.discovery()),
            _ => match credential::take(meta, request.params.as_ref()) {
                Ok(Some(credential)) => self.credentialed(service, &credential).await,
                Ok(None) => Err(credential::missing()),
                Err(denial) => Err(denial),
            },
        };
        answered.map(CustomResult).map_err(|denial| refused(&denial, &service.prices().table().default))
    }

    async fn credentialed(self, service: &AmpService, credential: &CredentialBody) -> Result<Value, Denial> {
        match self {
            Self::Pricing => value(&service.discovery()),
            Self::Status => value(&service.channel_status(credential).await?),
            Self::Close => value(&service.close(credential).await?),
            Self::Raise => {
                let receipt = service.raise_ceiling(credential).await?;
                let mut answer = value(&receipt.status(credential))?;
                answer["_meta"] = json!({ mcp::META: receipt_body(&receipt) });
                Ok(answer)
            }
        }
    }
}

fn value(body: &impl Serialize) -> Result<Value, Denial> {
    serde_json::to_value(body).map_err(|_| Denial::unavailable("the answer can't be written"))
}
