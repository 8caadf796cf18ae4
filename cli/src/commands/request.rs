//! An HTTP request from the command line, in curl's words.

use std::io::Read;

use anyhow::Context;
use clap::Args;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};

use crate::exit::{Exit, failure};

/// What to send, and where to.
#[derive(Args)]
pub(crate) struct RequestOptions {
    /// The URL.
    pub(crate) url: Url,
    /// The method. Default: GET, with --data POST.
    #[arg(long, short = 'X', value_name = "METHOD")]
    request: Option<Method>,
    /// A header, as "Name: value". May be given several times.
    #[arg(long = "header", short = 'H', value_name = "HEADER")]
    headers: Vec<String>,
    /// The body; @FILE, or @- for standard input.
    #[arg(long, short = 'd', value_name = "DATA")]
    data: Option<String>,
}

impl RequestOptions {
    pub(crate) fn request(&self) -> anyhow::Result<Request> {
        let method = match (&self.request, &self.data) {
            (Some(method), _) => method.clone(),
            (None, Some(_)) => Method::POST,
            (None, None) => Method::GET,
        };
        let mut request = Request::new(method, self.url.clone());
        for line in &self.headers {
            let bad = || failure(Exit::Usage, format!("{line:?} is no header; write it as \"Name: value\""));
            let (name, value) = line.split_once(':').ok_or_else(bad)?;
            let name: HeaderName = name.trim().parse().map_err(|_| bad())?;
            let value: HeaderValue = value.trim().parse().map_err(|_| bad())?;
            request.headers_mut().append(name, value);
        }
        if let Some(body) = self.body()? {
            *request.body_mut() = Some(body.into());
        }
        Ok(request)
    }

    /// Of a socket: what is sent first. It has no method and no headers of its own.
    pub(crate) fn first_message(&self) -> anyhow::Result<Option<Vec<u8>>> {
        if self.request.is_some() || !self.headers.is_empty() {
            return Err(failure(Exit::Usage, "-X and -H are for requests by HTTP, not for sockets"));
        }
        self.body()
    }

    fn body(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let Some(data) = &self.data else { return Ok(None) };
        let body = match data.strip_prefix('@') {
            Some("-") => {
                let mut all = Vec::new();
                std::io::stdin().read_to_end(&mut all).context("can't read standard input")?;
                all
            }
            Some(file) => std::fs::read(file).with_context(|| format!("can't read {file}"))?,
            None => data.clone().into_bytes(),
        };
        Ok(Some(body))
    }
}
