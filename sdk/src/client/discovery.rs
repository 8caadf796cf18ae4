//! What a service says of itself, compared with what this client trusts.

use amp_protocol::json::DiscoveryDocument;
use amp_protocol::text::{header, path};
use reqwest::header::HeaderMap;
use solana_address::Address;
use url::Url;

use super::body;
use super::config::Settings;
use super::error::{ClientError, DiscoveryFailure};

/// Fetches the discovery document of `origin` and checks program and network.
pub(super) async fn fetch(
    settings: &Settings,
    http: &reqwest::Client,
    origin: &Url,
) -> Result<DiscoveryDocument, ClientError> {
    let url = origin.join(path::DISCOVERY).map_err(|_| ClientError::Url(origin.to_string()))?;
    let request = reqwest::Request::new(reqwest::Method::GET, url);
    let answer = body::small(http, request, settings.options.timeout).await?;
    let failed = |reason| ClientError::Discovery { origin: origin_text(origin), reason };
    if answer.status != 200 {
        return Err(failed(DiscoveryFailure::Status(answer.status)));
    }
    read(settings, origin, &answer.bytes)
}

/// Reads a document and checks program and network.
pub(super) fn read(
    settings: &Settings,
    origin: &Url,
    bytes: &[u8],
) -> Result<DiscoveryDocument, ClientError> {
    let document = DiscoveryDocument::parse(bytes).map_err(|error| ClientError::Discovery {
        origin: origin_text(origin),
        reason: DiscoveryFailure::Document(error),
    })?;
    check(settings, origin, &document)?;
    Ok(document)
}

/// Checks program and network of a document.
pub(super) fn check(
    settings: &Settings,
    origin: &Url,
    document: &DiscoveryDocument,
) -> Result<(), ClientError> {
    let pinned = settings.program_id;
    if document.program_id.0 != pinned.to_bytes() {
        return Err(ClientError::WrongProgram {
            origin: origin_text(origin),
            named: document.program_id,
            pinned,
        });
    }
    network(settings, origin, &document.network)
}

fn network(settings: &Settings, origin: &Url, named: &str) -> Result<(), ClientError> {
    let pinned = &settings.options.network;
    if named == pinned {
        return Ok(());
    }
    let (named, pinned) = (named.to_owned(), pinned.clone());
    Err(ClientError::WrongNetwork { origin: origin_text(origin), named, pinned })
}

/// Compares what a 402's headers name with what is pinned, and with the discovery document's
/// recipient: two recipients at once mean that someone stands between.
pub(super) fn check_headers(
    settings: &Settings,
    origin: &Url,
    headers: &HeaderMap,
    document: &DiscoveryDocument,
) -> Result<(), ClientError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let pinned = settings.program_id;
    if let Some(named) = text(header::PROGRAM).and_then(|text| text.parse().ok())
        && document.program_id != named
    {
        return Err(ClientError::WrongProgram { origin: origin_text(origin), named, pinned });
    }
    if let Some(named) = text(header::NETWORK) {
        network(settings, origin, named)?;
    }
    if let Some(named) = text(header::RECIPIENT).and_then(|text| text.parse().ok())
        && document.recipient != named
    {
        let (known, named) = (Address::from(document.recipient.0), Address::from(named.0));
        return Err(ClientError::RecipientChanged { origin: origin_text(origin), known, named });
    }
    Ok(())
}

/// The scheme of the names that an agent gives to MCP servers which have no address.
pub(super) const MCP: &str = "mcp";

/// Scheme, host and port of a URL: what channels are kept by. Of an `mcp` URL, its name.
pub(super) fn origin_of(url: &Url) -> Result<Url, ClientError> {
    let bad = || ClientError::Url(url.to_string());
    let named =
        url.scheme() == MCP && url.port().is_none() && url.host_str().is_some_and(|name| !name.is_empty());
    if !matches!(url.scheme(), "http" | "https") && !named {
        return Err(bad());
    }
    // a URL's user and password are not part of its origin
    Url::parse(&origin_text(url)).map_err(|_| bad())
}

/// What channels are kept by, of any URL of a service: scheme, host and port. Of a socket's (`ws`, `wss`) those of the
/// same by HTTP; of an `mcp` URL the name in it.
///
/// # Errors
/// [`ClientError::Url`] where it is no URL of a service.
pub fn service_origin(url: &str) -> Result<String, ClientError> {
    let bad = || ClientError::Url(url.to_owned());
    let parsed: Url = url.parse().map_err(|_| bad())?;
    let parsed = match parsed.scheme() {
        "ws" => with_scheme(&parsed, "http")?,
        "wss" => with_scheme(&parsed, "https")?,
        _ => parsed,
    };
    origin_of(&parsed).map(|origin| origin_text(&origin))
}

/// The same address by another scheme. Its text is changed, as the URL type itself refuses some.
pub(super) fn with_scheme(url: &Url, scheme: &str) -> Result<Url, ClientError> {
    let bad = || ClientError::Url(url.to_string());
    let (_, rest) = url.as_str().split_once(':').ok_or_else(bad)?;
    format!("{scheme}:{rest}").parse().map_err(|_| bad())
}

/// Whether HTTP leads there.
pub(super) fn check_http(origin: &Url) -> Result<(), ClientError> {
    if origin.scheme() == MCP {
        return Err(ClientError::NotConnected { origin: origin_text(origin) });
    }
    Ok(())
}

/// An origin as it is stored and shown: without the slash at its end.
pub(super) fn origin_text(origin: &Url) -> String {
    match origin.host_str() {
        // a scheme whose origins nobody else knows
        Some(name) if origin.scheme() == MCP => format!("{MCP}://{name}"),
        _ => origin.origin().ascii_serialization(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_alone() {
        let origin = |text: &str| origin_of(&text.parse().unwrap()).map(|origin| origin_text(&origin)).ok();
        assert_eq!(
            origin("https://user:secret@Api.Example:443/v1?x#y").as_deref(),
            Some("https://api.example")
        );
        assert_eq!(origin("http://127.0.0.1:8080/a").as_deref(), Some("http://127.0.0.1:8080"));
        assert_eq!(origin("file:///etc/passwd"), None);
        assert_eq!(origin("mcp://me@weather/forecast?x#y").as_deref(), Some("mcp://weather"));
        for other in ["mcp://weather:7", "mcp:weather", "mcp:///weather", "mcp://"] {
            assert_eq!(origin(other), None, "{other}");
        }
    }

    #[test]
    fn a_sockets_origin_is_that_of_the_same_host_by_http() {
        for (url, origin) in [
            ("WSS://Api.Example/feed", Some("https://api.example")),
            ("ws://127.0.0.1:8080/feed", Some("http://127.0.0.1:8080")),
            ("wss://api.example:443", Some("https://api.example")),
            ("ws://api.example:443", Some("http://api.example:443")),
            ("HTTPS://api.example/x", Some("https://api.example")),
            ("mcp://weather", Some("mcp://weather")),
            ("ftp://api.example", None),
            ("weather", None),
        ] {
            assert_eq!(service_origin(url).ok().as_deref(), origin, "{url}");
        }
    }
}
