//! One call of a tool whose cost is counted: the seconds of its work, the bytes of its result, or what it reports.
//!
//! An answer over MCP comes as a whole, so what would wait on other transports is the work itself, or the result
//! that is done and can't leave yet. Seconds and reported units are charged as they are counted, whatever comes of
//! the call; bytes once the result leaves, which is all of them or none.

use std::pin::pin;

use amp_protocol::json::{Pricing, PricingMode};
use futures::FutureExt as _;
use rmcp::ServerHandler;
use rmcp::model::{CallToolRequestParams, CallToolResponse};
use rmcp::service::{RequestContext, RoleServer};

use super::call::{Answered, attach, cancelled, is_charged, presented};
use super::refusal::refused;
use super::tools::PaidTools;
use crate::mcp::bytes_of;
use crate::server::config::ChargeOn;
use crate::server::denial::Denial;
use crate::server::metering::{Meter, Running};
use crate::server::service::AmpService;

impl<H: ServerHandler> PaidTools<H> {
    /// Calls a tool that is paid for by what is counted.
    pub(super) async fn call_metered(
        &self,
        service: &AmpService,
        pricing: &Pricing,
        request: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Answered {
        let running = begin(service, pricing, &mut context).await;
        let running = running.map_err(|denial| refused(&denial, pricing))?;
        let charge_on = service.tool_charges_on(&request.name);
        let called_off = context.ct.clone();
        let work = self.inner.call_tool(request, context);
        tokio::select! {
            biased;
            // nobody waits for the answer: rmcp drops it. What was counted is charged as its work is dropped
            () = called_off.cancelled() => Err(cancelled()),
            answered = serve(running, pricing, charge_on, work) => answered,
        }
    }
}

async fn begin(
    service: &AmpService,
    pricing: &Pricing,
    context: &mut RequestContext<RoleServer>,
) -> Result<Running, Denial> {
    let credential = presented(service, &mut context.meta)?;
    let meter = service.authorize_metered(&credential, pricing.rate()).await?;
    context.extensions.insert(meter.payment());
    if pricing.mode == PricingMode::PerCompute {
        context.extensions.insert(meter.clone());
    }
    Ok(Running::new(meter, pricing.mode))
}

async fn serve(
    mut running: Running,
    pricing: &Pricing,
    charge_on: ChargeOn,
    work: impl Future<Output = Answered>,
) -> Answered {
    let mut answered =
        worked(&mut running, work).await.unwrap_or_else(|denial| Err(refused(&denial, pricing)));
    if let Some(denial) = running.why_ended().filter(|_| answered.is_err()) {
        // the tool stopped because its meter said so
        answered = Err(refused(&denial, pricing));
    }
    if let Ok(CallToolResponse::Complete(result)) = &answered
        && pricing.mode == PricingMode::PerByte
        && is_charged(charge_on, &answered)
        && let Err(denial) = running.spend(bytes_of(result)).await
    {
        answered = Err(refused(&denial, pricing));
    }
    match running.finish().await {
        Ok(receipt) => attach(&mut answered, &receipt),
        // what can't be claimed does not leave. No code: by one its client would take it that nothing was charged
        Err(Denial::Refused(_)) => {
            let denial =
                Denial::unavailable("what the call cost is not known here: amp/channel says what is");
            answered = Err(refused(&denial, pricing));
        }
        Err(denial) => answered = Err(refused(&denial, pricing)),
    }
    answered
}

/// The tool's answer, or why its work does not go on: it stands still where a second is not paid for.
async fn worked(running: &mut Running, work: impl Future<Output = Answered>) -> Result<Answered, Denial> {
    let (meter, mut work) = (Meter::clone(running), pin!(work));
    let mut stopped = pin!(meter.stopped());
    let answered = loop {
        tokio::select! {
            // a second that has begun is paid before what is done in it
            biased;
            closed = &mut stopped => return Err(closed),
            () = running.seconds() => running.another_second().await?,
            answered = &mut work => break answered,
        }
    };
    // work that does not yield lets no second be counted before it is done
    while running.seconds().now_or_never().is_some() {
        running.another_second().await?;
    }
    Ok(answered)
}
