//! The side that is paid.

use std::net::SocketAddr;
use std::sync::Arc;

use amp_sdk::chain::Chain;
use amp_sdk::protocol::money::Amount;
use amp_sdk::server::mcp::{AmpFields, PaidTools};
use amp_sdk::server::{AmpService, Payment, ServiceConfig, SqliteStore};
use axum::Router;
use rmcp::handler::server::common::Extension;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};

/// Base units of a forecast.
pub(crate) const PRICE: u64 = 250;

#[derive(Clone)]
struct Weather {
    tools: ToolRouter<Self>,
}

#[tool_router]
impl Weather {
    #[tool(description = "Tomorrow's weather")]
    fn forecast(&self, Extension(payment): Extension<Payment>) -> String {
        format!("sunny, for {} base units", payment.price)
    }
}

#[tool_handler(router = self.tools)]
impl ServerHandler for Weather {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// Serves, and says where.
pub(crate) async fn serve(
    config: ServiceConfig,
    chain: Arc<dyn Chain>,
    store: SqliteStore,
) -> anyhow::Result<String> {
    let service = AmpService::start(config.tool("forecast", Amount::new(PRICE)), chain, store).await?;
    let make = move || Ok(PaidTools::new(service.clone(), Weather { tools: Weather::tool_router() }));
    let sessions = Arc::new(LocalSessionManager::default());
    let tools = StreamableHttpService::new(make, sessions, StreamableHttpServerConfig::default());
    let app = Router::new().route_service("/mcp", AmpFields::new(tools));
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/mcp", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(url)
}
