use amp_protocol::code::Code;
use amp_protocol::json::ErrorBody;
use tonic::Status;

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
    let bytes = status.metadata().get_bin(ERROR)?.to_bytes().ok()?;
    // an error of the handler's own that has the same metadata is told apart by its status
    serde_json::from_slice(&bytes).ok().filter(|body: &ErrorBody| status_code(body.error) == status.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::metadata::{MetadataMap, MetadataValue};

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
}
