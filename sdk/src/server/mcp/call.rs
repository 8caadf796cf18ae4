//! One call of a tool that has a price: admit, work, charge, answer.

use std::convert::Infallible;

use amp_protocol::json::{CredentialBody, Pricing, ReceiptBody};
use amp_protocol::money::Amount;
use amp_protocol::text::mcp;
use rmcp::model::{CallToolRequestParams, CallToolResponse, ErrorCode, MetaObject, RequestMetaObject};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};
use serde_json::{Value, json};

use super::credential;
use super::refusal::refused;
use super::tools::PaidTools;
use crate::server::admission::{Admission, Receipt};
use crate::server::config::ChargeOn;
use crate::server::denial::Denial;
use crate::server::service::AmpService;

pub(super) type Answered = Result<CallToolResponse, ErrorData>;

impl<H: ServerHandler> PaidTools<H> {
    /// Calls a tool, which is paid for where it has a price.
    pub(super) async fn call(
        &self,
        request: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Answered {
        let service = self.service_for(&context.extensions);
        let pricing = service.tool_pricing(&request.name);
        if pricing.rate.is_zero() {
            return self.inner.call_tool(request, context).await;
        }
        if pricing.is_metered() {
            return self.call_metered(&service, &pricing, request, context).await;
        }
        let admitted = admit(&service, &pricing, &mut context.meta).await;
        let mut admission = admitted.map_err(|denial| refused(&denial, &pricing))?;
        let charge_on = service.tool_charges_on(&request.name);
        // who calls off in time would have the work for free
        if charge_on == ChargeOn::Always {
            admission.charge_if_dropped(Some(pricing.rate));
        }
        context.extensions.insert(admission.payment());
        let called_off = context.ct.clone();
        let work = self.inner.call_tool(request, context);
        let work = admission.handle(async { Ok::<_, Infallible>(work.await) });
        let Ok(answered) = tokio::select! {
            biased;
            answered = work => answered,
            // nobody waits for the answer: rmcp drops it. The admission is dropped with its work
            () = called_off.cancelled() => return Err(cancelled()),
        };
        admission.charge_if_dropped(None);
        charge(admission, charge_on, &pricing, answered).await
    }
}

async fn admit(
    service: &AmpService,
    pricing: &Pricing,
    meta: &mut RequestMetaObject,
) -> Result<Admission, Denial> {
    service.authorize(&presented(service, meta)?, pricing.rate).await
}

/// The credential of a call, which has to have one.
pub(super) fn presented(
    service: &AmpService,
    meta: &mut RequestMetaObject,
) -> Result<CredentialBody, Denial> {
    let requests = &service.core.metrics.requests;
    let credential = credential::take(meta, None).map_err(|denial| requests.unreadable(denial))?;
    credential.ok_or_else(|| requests.no_credential(credential::missing()))
}

/// Lets the answer leave once its charge is on disk, with the receipt. One that is not charged has used its
/// seq up, which is on disk too.
async fn charge(
    admission: Admission,
    charge_on: ChargeOn,
    pricing: &Pricing,
    mut answered: Answered,
) -> Answered {
    let cost = if is_charged(charge_on, &answered) { pricing.rate } else { Amount::ZERO };
    // what can't be claimed does not leave
    let receipt = admission.charge(cost).await.map_err(|denial| refused(&denial, pricing))?;
    attach(&mut answered, &receipt);
    answered
}

pub(super) fn is_charged(charge_on: ChargeOn, answered: &Answered) -> bool {
    match (charge_on, answered) {
        (ChargeOn::Always, _) => true,
        (ChargeOn::Success, Ok(CallToolResponse::Complete(result))) => result.is_error != Some(true),
        // it asks for more: the call that brings it is paid for
        (ChargeOn::Success, Ok(CallToolResponse::InputRequired(_)) | Err(_)) => false,
        // a task has begun: to ask how it goes is free
        (ChargeOn::Success, Ok(_)) => true,
    }
}

/// `_meta.amp` of a result, `amp` in an error's data.
pub(super) fn attach(answered: &mut Answered, receipt: &Receipt) {
    let body = json!(receipt_body(receipt));
    let meta = match answered {
        Ok(CallToolResponse::Complete(result)) => &mut result.meta,
        Ok(CallToolResponse::InputRequired(result)) => &mut result.meta,
        Ok(CallToolResponse::Task(result)) => &mut result.meta,
        Ok(_) => return,
        Err(error) => {
            // data of another kind is the tool's own, and stays what it is
            if let Value::Object(data) = error.data.get_or_insert_with(|| json!({})) {
                data.insert(mcp::META.to_owned(), body);
            }
            return;
        }
    };
    // a tool that names the same key is overruled
    meta.get_or_insert_with(MetaObject::new).0.insert(mcp::META.to_owned(), body);
}

pub(super) fn receipt_body(receipt: &Receipt) -> ReceiptBody {
    let Receipt { balance, spent, cost, last_seq } = *receipt;
    ReceiptBody { balance, spent, seq: last_seq, cost: Some(cost) }
}

pub(super) fn cancelled() -> ErrorData {
    ErrorData::new(ErrorCode::INTERNAL_ERROR, "the call was cancelled", None)
}
