//! The fake service as an MCP server.

use amp_protocol::code::Code;
use amp_protocol::json::{CredentialBody, ErrorBody};
use amp_protocol::text::{mcp, path};
use axum::body::to_bytes;
use axum::http::Method;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CustomRequest, CustomResult,
    ErrorCode, MetaObject, RequestMetaObject,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler};
use serde_json::json;

use super::FakeService;

pub(super) struct FakeTools(pub(super) FakeService);

fn refused(body: &ErrorBody) -> ErrorData {
    ErrorData::new(ErrorCode::INVALID_PARAMS, body.error.as_str(), Some(json!(body)))
}

fn credential(meta: &RequestMetaObject) -> Result<CredentialBody, ErrorData> {
    let found = meta.0.0.get(mcp::META).map(|value| serde_json::from_value(value.clone()).unwrap());
    found.ok_or_else(|| refused(&ErrorBody::new(Code::NoChannel, "pay")))
}

impl ServerHandler for FakeTools {
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name == "free" {
            assert!(credential(&context.meta).is_err(), "a free tool is not paid");
            return Ok(CallToolResult::success(vec![ContentBlock::text("free")]).into());
        }
        let credential = credential(&context.meta)?;
        let (cost, spent, balance) = self.0.call(&credential).await.map_err(|body| refused(&body))?;
        let receipt = json!({
            "balance": balance.to_string(), "spent": spent.to_string(), "cost": cost.to_string(),
            "seq": credential.seq
        });
        if request.name == "charged failure" {
            return Err(ErrorData::internal_error("it failed", Some(json!({ mcp::META: receipt }))));
        }
        let mut result = CallToolResult::success(vec![ContentBlock::text("paid")]);
        if request.name != "silent" {
            result.meta.get_or_insert_with(MetaObject::new).0.insert(mcp::META.to_owned(), receipt);
        }
        Ok(result.into())
    }

    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let (method, at) = match &*request.method {
            mcp::PRICING => {
                let mut inner = self.0.inner();
                inner.discoveries += 1;
                return Ok(CustomResult(json!(inner.document)));
            }
            mcp::CHANNEL => (Method::GET, path::CHANNEL),
            mcp::CLOSE => (Method::POST, path::CLOSE),
            _ => return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, request.method, None)),
        };
        let answer =
            self.0.own(method, at, credential(&context.meta)?).await.map_err(|body| refused(&body))?;
        if !answer.status().is_success() {
            return Err(ErrorData::internal_error("not there", None));
        }
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        Ok(CustomResult(serde_json::from_slice(&bytes).unwrap()))
    }
}
