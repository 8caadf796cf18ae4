use amp_protocol::code::Code;
use amp_protocol::json::ErrorBody;
#[cfg(any(feature = "client", feature = "server"))]
use http::HeaderMap;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// Metadata of a refusal: the error body, in JSON. Binary metadata, since a message may hold any text.
pub const ERROR: &str = "amp-error-bin";

/// The status that a refusal is sent with.
pub const fn status_code(code: Code) -> tonic::Code {
    match code {
        Code::NoChannel | Code::Underfunded | Code::Closed => tonic::Code::FailedPrecondition,
        Code::InvalidSig => tonic::Code::Unauthenticated,
        Code::RateExceeded => tonic::Code::ResourceExhausted,
        Code::InvalidSeq | Code::SettleEarly | Code::DepositLow | Code::InvalidProof => {
            tonic::Code::InvalidArgument
        }
    }
}

/// The AMP refusal in a status, if it is one.
pub fn error_body(status: &Status) -> Option<ErrorBody> {
    refusal(status.code(), status.metadata())
}

/// The status in the end of an answer: in its trailers or, where it has no body, in its head.
#[cfg(any(feature = "client", feature = "server"))]
pub(crate) fn status_in(end: &HeaderMap) -> Option<tonic::Code> {
    let status = end.get(Status::GRPC_STATUS)?;
    // one that is no number is none of gRPC's
    Some(status.to_str().ok()?.parse().map_or(tonic::Code::Unknown, tonic::Code::from_i32))
}

/// The same as [`error_body`] for the end of an answer.
#[cfg(feature = "client")]
pub(crate) fn refusal_in(end: &HeaderMap) -> Option<ErrorBody> {
    refusal(status_in(end)?, &MetadataMap::from_headers(end.clone()))
}

fn refusal(status: tonic::Code, metadata: &MetadataMap) -> Option<ErrorBody> {
    let bytes = metadata.get_bin(ERROR)?.to_bytes().ok()?;
    // an error of the handler's own that has the same metadata is told apart by its status
    serde_json::from_slice(&bytes).ok().filter(|body: &ErrorBody| status_code(body.error) == status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::metadata::MetadataValue;

    #[test]
    fn a_refusal_is_read_with_the_status_of_its_code_alone() {
        for code in Code::ALL {
            let body = ErrorBody::new(*code, "why, and what to do: ünïcode too");
            let mut metadata = MetadataMap::new();
            metadata.insert_bin(ERROR, MetadataValue::from_bytes(&serde_json::to_vec(&body).unwrap()));
            let status = |code| Status::with_metadata(code, "", metadata.clone());
            assert_eq!(error_body(&status(status_code(*code))), Some(body));
            assert_eq!(error_body(&status(tonic::Code::Internal)), None);
        }
        assert_eq!(error_body(&Status::failed_precondition("the handler's own")), None);
    }

    #[cfg(any(feature = "client", feature = "server"))]
    #[test]
    fn whatever_an_answer_ends_with_is_read_without_a_panic() {
        let status = |value: &'static str| {
            let mut end = HeaderMap::new();
            end.insert(Status::GRPC_STATUS, http::HeaderValue::from_static(value));
            // what tonic's own reading does not survive
            end.insert("grpc-status-details-bin", http::HeaderValue::from_static("no base64"));
            status_in(&end)
        };
        assert_eq!(status("0"), Some(tonic::Code::Ok));
        assert_eq!(status("9"), Some(tonic::Code::FailedPrecondition));
        for other in ["", "-1", "17", "ok", "99999999999"] {
            assert_eq!(status(other), Some(tonic::Code::Unknown), "{other}");
        }
        assert_eq!(status_in(&HeaderMap::new()), None);
    }
}
