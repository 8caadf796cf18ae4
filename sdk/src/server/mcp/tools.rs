use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderMap;
use http::request::Parts;
use rmcp::model::*;
use rmcp::service::{NotificationContext, RequestContext, RoleServer, SubscriptionContext};
use rmcp::{ErrorData, ServerHandler};

use super::operations::Operation;
use crate::server::middleware::PeerRule;
use crate::server::service::AmpService;

/// An MCP server whose tools are paid for: calls of tools that have a price ask for a credential, `amp/*` is
/// answered here, and everything else goes to the handler inside untouched.
///
/// A tool costs what [`ServiceConfig::tool`](crate::server::ServiceConfig::tool) says, or else the default
/// price. It finds the [`Payment`](crate::server::Payment) among the extensions of its request's context.
#[derive(Clone)]
pub struct PaidTools<H> {
    pub(super) inner: H,
    service: AmpService,
    peer: PeerRule,
}

impl<H: ServerHandler> PaidTools<H> {
    /// Charges for the tools of `inner`.
    pub fn new(service: AmpService, inner: H) -> Self {
        Self { inner, service, peer: PeerRule::default() }
    }

    /// Says from where a request over HTTP comes, as [`AmpLayer::peer`](crate::server::AmpLayer::peer) does.
    /// The other end of the connection, unless set, where the router is served with
    /// `into_make_service_with_connect_info::<SocketAddr>()`.
    #[must_use]
    pub fn peer(
        self,
        peer: impl Fn(&HeaderMap, Option<IpAddr>) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self { peer: PeerRule::new(peer), ..self }
    }

    /// The service for whoever sent a request. Over a pipe that is nobody in particular.
    pub(super) fn service_for(&self, extensions: &Extensions) -> AmpService {
        match extensions.get::<Parts>() {
            Some(parts) => self.peer.service_for(&self.service, &parts.headers, &parts.extensions),
            None => self.service.clone(),
        }
    }
}

/// What the handler inside does itself.
macro_rules! passed_on {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(fn $name(&self, $($argument: $kind),*) -> impl Future<Output = $answer> + Send + '_ {
            self.inner.$name($($argument),*)
        })*
    };
}

type Context = RequestContext<RoleServer>;
type Notice = NotificationContext<RoleServer>;
type Answer<T> = Result<T, ErrorData>;

#[allow(deprecated, reason = "older clients still subscribe")]
impl<H: ServerHandler> ServerHandler for PaidTools<H> {
    fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> impl Future<Output = Answer<CallToolResponse>> + Send + '_ {
        self.call(request, context)
    }

    async fn on_custom_request(&self, request: CustomRequest, mut context: Context) -> Answer<CustomResult> {
        match Operation::of(&request.method) {
            Some(operation) => {
                let service = self.service_for(&context.extensions);
                operation.answer(&service, &request, &mut context.meta).await
            }
            None => self.inner.on_custom_request(request, context).await,
        }
    }

    passed_on! {
        ping(context: Context) -> Answer<()>;
        initialize(request: InitializeRequestParams, context: Context) -> Answer<InitializeResult>;
        discover(context: Context) -> Answer<DiscoverResult>;
        complete(request: CompleteRequestParams, context: Context) -> Answer<CompleteResult>;
        set_level(request: SetLevelRequestParams, context: Context) -> Answer<()>;
        get_prompt(request: GetPromptRequestParams, context: Context) -> Answer<GetPromptResponse>;
        list_prompts(request: Option<PaginatedRequestParams>, context: Context) -> Answer<ListPromptsResult>;
        list_resources(request: Option<PaginatedRequestParams>, context: Context) -> Answer<ListResourcesResult>;
        list_resource_templates(
            request: Option<PaginatedRequestParams>, context: Context
        ) -> Answer<ListResourceTemplatesResult>;
        read_resource(request: ReadResourceRequestParams, context: Context) -> Answer<ReadResourceResponse>;
        listen(context: SubscriptionContext) -> Answer<()>;
        subscribe(request: SubscribeRequestParams, context: Context) -> Answer<()>;
        unsubscribe(request: UnsubscribeRequestParams, context: Context) -> Answer<()>;
        list_tools(request: Option<PaginatedRequestParams>, context: Context) -> Answer<ListToolsResult>;
        on_cancelled(notification: CancelledNotificationParam, context: Notice) -> ();
        on_progress(notification: ProgressNotificationParam, context: Notice) -> ();
        on_initialized(context: Notice) -> ();
        on_roots_list_changed(context: Notice) -> ();
        on_custom_notification(notification: CustomNotification, context: Notice) -> ();
        get_task(request: GetTaskParams, context: Context) -> Answer<GetTaskResult>;
        update_task(request: UpdateTaskParams, context: Context) -> Answer<()>;
        cancel_task(request: CancelTaskParams, context: Context) -> Answer<()>;
        list_skills(request: Option<PaginatedRequestParams>, context: Context) -> Answer<ListSkillsResult>;
        get_skill(request: GetSkillRequestParams, context: Context) -> Answer<GetSkillResult>;
        read_resource_directory(
            request: ReadResourceDirectoryRequestParams, context: Context
        ) -> Answer<ReadResourceDirectoryResult>;
    }

    fn negotiate_initialize(&self, request: &InitializeRequestParams) -> Answer<InitializeResult> {
        self.inner.negotiate_initialize(request)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.inner.supported_protocol_versions()
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.inner.accepted_subscription_filter(requested)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.inner.get_tool(name)
    }

    fn get_info(&self) -> ServerConfig {
        self.inner.get_info()
    }
}
