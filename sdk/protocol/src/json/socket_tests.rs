use std::format;

use proptest::prelude::*;

use super::*;
use crate::json::Shortage;

fn credential() -> CredentialBody {
    CredentialBody { channel: Base58([7; 32]), seq: Seq::new(42), sig: Base58([8; 64]) }
}

fn fields() -> [(&'static str, String); 3] {
    let CredentialBody { channel, seq, sig } = credential();
    [
        ("amp_channel", format!("\"{channel}\"")),
        ("amp_seq", format!("\"{seq}\"")),
        ("amp_sig", format!("\"{sig}\"")),
    ]
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

#[test]
fn the_first_frame_is_the_three_fields_and_reads_back() {
    let text = serde_json::to_string(&SocketBind::from(credential())).unwrap();
    assert_eq!(text, object(&fields()));
    assert_eq!(SocketBind::parse(&text).map(CredentialBody::from), Ok(credential()));
    let camel =
        text.replace("amp_channel", "ampChannel").replace("amp_seq", "ampSeq").replace("amp_sig", "ampSig");
    assert_eq!(SocketBind::parse(&camel).map(CredentialBody::from), Ok(credential()));
}

#[test]
fn what_is_missing_is_no_credential_and_what_is_malformed_has_the_code_of_its_field() {
    let codes = [Code::NoChannel, Code::InvalidSeq, Code::InvalidSig];
    for (at, code) in codes.into_iter().enumerate() {
        let mut missing = fields().to_vec();
        missing.remove(at);
        assert_eq!(SocketBind::parse(&object(&missing)), Err(SocketFrameError::NoCredential));
        for bad in ["\"\"", "\"0OIl\"", "{}", "-1", "true", "\"1.5\""] {
            let mut malformed = fields();
            malformed[at].1 = bad.to_owned();
            let error = SocketBind::parse(&object(&malformed)).unwrap_err();
            assert_eq!((error, error.code()), (SocketFrameError::Field(code), code), "{bad}");
            assert!(format!("{error}").contains("send"), "says what to do: {error}");
        }
    }
    for text in ["", "hello", "[]", "{", "null", "7"] {
        assert_eq!(SocketBind::parse(text), Err(SocketFrameError::NoCredential), "{text}");
        assert_eq!(SocketFrame::parse(text), Err(SocketFrameError::NoCredential), "{text}");
    }
    let mut twice = fields().to_vec();
    twice.push(("amp_seq", "\"43\"".to_owned()));
    assert_eq!(SocketBind::parse(&object(&twice)), Err(SocketFrameError::NoCredential));
}

#[test]
fn a_payload_is_a_string_or_the_text_of_any_other_json() {
    let parse = |payload: &str| {
        let mut all = fields()[1..].to_vec();
        all.push(("payload", payload.to_owned()));
        paid(&object(&all)).payload
    };
    for (payload, message) in [
        ("\"buy\"", Some("buy")),
        ("\"\"", Some("")),
        ("\"a\\n\\u00e9\"", Some("a\né")),
        ("{ \"z\": 1,\"a\":[2.50] }", Some("{ \"z\": 1,\"a\":[2.50] }")),
        ("7", Some("7")),
        ("null", None),
    ] {
        assert_eq!(parse(payload).as_deref(), message, "{payload}");
    }
    assert_eq!(paid(&object(&fields()[1..])).payload, None);
}

fn paid(text: &str) -> SocketPaid {
    match SocketFrame::parse(text).unwrap() {
        SocketFrame::Paid(paid) => paid,
        SocketFrame::Close => panic!("{text} ends"),
    }
}

#[test]
fn a_paid_frame_is_written_so_and_the_last_frame_says_that_it_is() {
    let CredentialBody { seq, sig, .. } = credential();
    let frame = SocketPaid { amp_seq: seq, amp_sig: sig, payload: Some("buy".to_owned()) };
    let text = serde_json::to_string(&frame).unwrap();
    assert_eq!(text, format!(r#"{{"amp_seq":"42","amp_sig":"{sig}","payload":"buy"}}"#));
    assert_eq!(paid(&text), frame);
    assert_eq!(SocketFrame::parse(SocketFrame::CLOSE), Ok(SocketFrame::Close));
    assert_eq!(SocketFrame::parse(r#"{"amp_close":false}"#), Err(SocketFrameError::NoCredential));
}

#[test]
fn a_binary_frame_has_72_bytes_before_its_payload() {
    let frame = SocketBinary { seq: Seq::new(0x0102), sig: [9; 64], payload: b"abc" };
    let bytes = frame.to_bytes();
    assert_eq!((bytes.len(), &bytes[..3], &bytes[72..]), (BINARY_HEADER + 3, &[2, 1, 0][..], &b"abc"[..]));
    assert_eq!(SocketBinary::parse(&bytes), Some(frame));
    assert_eq!(SocketBinary::parse(&bytes[..72]).unwrap().payload, b"");
    assert_eq!(SocketBinary::parse(&bytes[..71]), None);
}

#[test]
fn the_services_frames_are_written_so_and_read_back() {
    let ack =
        SocketAck { amp_status: "open".to_owned(), amp_balance: Amount::new(9), amp_spent: Amount::new(1) };
    let body = ErrorBody {
        shortage: Some(Shortage::Ceiling),
        required_seq: Some(Seq::new(7)),
        ..ErrorBody::new(Code::Underfunded, "sign more")
    };
    let end = SocketEnd {
        cost: Amount::new(3),
        spent: Amount::new(4),
        balance: Amount::new(5),
        error: Some(SocketError::fault(SocketFault::TooLarge, "no")),
    };
    let amp = r#"{"error":"AMP_UNDERFUNDED","message":"sign more","shortage":"ceiling","required_seq":"7"}"#;
    for (frame, text) in [
        (SocketControl::Ack(ack), r#"{"amp_status":"open","amp_balance":"9","amp_spent":"1"}"#.to_owned()),
        (SocketControl::Need { amp_need: Box::new(body.clone()) }, format!(r#"{{"amp_need":{amp}}}"#)),
        (SocketControl::Refused { amp_error: SocketError::Amp(Box::new(body)) }, format!(r#"{{"amp_error":{amp}}}"#)),
        (
            SocketControl::End { amp_end: end },
            r#"{"amp_end":{"cost":"3","spent":"4","balance":"5","error":{"error":"TOO_LARGE","message":"no"}}}"#
                .to_owned(),
        ),
    ] {
        assert_eq!(frame.to_text(), text);
        assert_eq!(SocketControl::parse(&text), Ok(Some(frame)));
    }
}

#[test]
fn close_codes_are_those_of_http_above_4000() {
    for code in Code::ALL {
        let error = SocketError::Amp(Box::new(ErrorBody::new(*code, "")));
        assert_eq!(error.close_code(), 4_000 + code.http_status());
    }
    let faults = SocketFault::ALL.map(|fault| SocketError::fault(fault, "").close_code());
    assert_eq!(faults, [4503, 4408, 4413, 4400, 4500]);
}

#[test]
fn a_text_of_the_applications_that_looks_like_control_is_wrapped_and_no_other_is() {
    for text in [
        r#"{"amp_end":{"cost":"0","spent":"0","balance":"0"}}"#,
        r#" {"x":1,"amp_":2}"#,
        r#"{"\u0061mp_end":1}"#,
        r#"{"amp_payload":"{}"}"#,
        r#"{"amp_end": broken"#,
        r#"{"\ud800":1,"amp_end":1}"#,
    ] {
        let sent = SocketControl::application(text.to_owned());
        let payload = SocketControl::Payload { amp_payload: text.to_owned() };
        assert_eq!(SocketControl::parse(&sent), Ok(Some(payload)), "{text}");
    }
    for text in [
        "",
        "amp_end",
        "[{\"amp_end\":1}]",
        r#"{"x":"amp_end"}"#,
        r#"{"x":{"amp_end":1}}"#,
        r#"{"é":"\u00e9"}"#,
    ] {
        assert_eq!(SocketControl::application(text.to_owned()), text);
        assert_eq!(SocketControl::parse(text), Ok(None), "{text}");
    }
    assert_eq!(SocketControl::parse(r#"{"amp_later":1}"#), Err(UnknownControl));
}

proptest! {
    #[test]
    fn no_text_and_no_bytes_make_a_parser_panic(text: String, bytes: Vec<u8>) {
        let _ = (SocketBind::parse(&text), SocketFrame::parse(&text), SocketControl::parse(&text));
        let binary = SocketBinary::parse(&bytes);
        prop_assert_eq!(binary.map(|frame| frame.to_bytes()), (bytes.len() >= 72).then_some(bytes));
    }

    #[test]
    fn whatever_the_application_sends_arrives_as_it_was(text in "[ {}\":amp_\\\\u0e]{0,40}") {
        let sent = SocketControl::application(text.clone());
        let arrived = match SocketControl::parse(&sent) {
            Ok(None) => sent,
            Ok(Some(SocketControl::Payload { amp_payload })) => amp_payload,
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        prop_assert_eq!(arrived, text);
    }
}
