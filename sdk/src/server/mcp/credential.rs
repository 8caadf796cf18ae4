//! The credential of a message: the same fields, rules and codes as HTTP's three headers.

use amp_protocol::code::Code;
use amp_protocol::json::CredentialBody;
use amp_protocol::text::mcp;
use rmcp::model::RequestMetaObject;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::server::denial::Denial;

/// Takes the credential out of a message's `_meta`, so that a handler which passes that on does not pass
/// money on. It is in `_meta.amp`, or in `_amp`, wherever that was moved to or is still; `None` where it is
/// nowhere. Both may be there and must then say the same: of two, the one that is checked might not be the
/// one that somebody on the way counted.
pub(super) fn take(
    meta: &mut RequestMetaObject,
    params: Option<&Value>,
) -> Result<Option<CredentialBody>, Denial> {
    let places = [
        meta.0.0.remove(mcp::META),
        meta.0.0.remove(mcp::FIELD),
        params.and_then(|of| of.get(mcp::FIELD)).cloned(),
    ];
    let mut found: Option<CredentialBody> = None;
    for value in places.into_iter().flatten() {
        let credential = read(&value)?;
        if let Some(code) = found.and_then(|first| difference(&first, &credential)) {
            let message = "_amp and _meta.amp differ: send one of them, or both the same";
            return Err(Denial::new(code, None, message));
        }
        found = Some(credential);
    }
    Ok(found)
}

/// No credential at all.
pub(super) fn missing() -> Denial {
    let message = "payment required: open a channel to the recipient that amp/pricing names, and send _meta.amp {channel, seq, sig} with every call";
    Denial::new(Code::NoChannel, None, message)
}

/// The code of the first field in which they differ.
fn difference(one: &CredentialBody, other: &CredentialBody) -> Option<Code> {
    if one.channel != other.channel {
        return Some(Code::NoChannel);
    }
    if one.seq != other.seq {
        return Some(Code::InvalidSeq);
    }
    (one.sig != other.sig).then_some(Code::InvalidSig)
}

fn read(value: &Value) -> Result<CredentialBody, Denial> {
    let object = value.as_object().ok_or_else(|| {
        let message = "the credential is not an object: send {channel, seq, sig}";
        Denial::new(Code::NoChannel, None, message)
    })?;
    Ok(CredentialBody {
        channel: field(object, "channel", Code::NoChannel, "the channel's address in base58")?,
        seq: field(object, "seq", Code::InvalidSeq, "the seq as a decimal string of at most 64 bits")?,
        sig: field(object, "sig", Code::InvalidSig, "the signature in base58")?,
    })
}

fn field<'a, T: Deserialize<'a>>(
    object: &'a Map<String, Value>,
    name: &str,
    code: Code,
    what: &str,
) -> Result<T, Denial> {
    let refuse =
        |wrong: &str| Denial::new(code, None, format!("the credential's {name} {wrong}: send {what}"));
    let value = object.get(name).ok_or_else(|| refuse("is missing"))?;
    T::deserialize(value).map_err(|_| refuse("can't be read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use amp_protocol::json::Base58;
    use amp_protocol::money::Seq;
    use proptest::prelude::*;
    use serde_json::json;

    fn good() -> Value {
        json!({"channel": Base58([7; 32]), "seq": "42", "sig": Base58([8; 64])})
    }

    fn taken(amp: Value, field: Value) -> Result<Option<CredentialBody>, Code> {
        let object = |value: Value| value.as_object().cloned().unwrap();
        let mut meta: RequestMetaObject = object(json!({"amp": amp, "_amp": field, "other": 1})).into();
        meta.0.0.retain(|_, value| !value.is_null());
        let taken = take(&mut meta, None).map_err(|denial| denial.code().unwrap());
        if taken.is_ok() {
            assert_eq!(meta.0.0, object(json!({"other": 1})), "the handler sees no credential");
        }
        taken
    }

    #[test]
    fn it_may_be_in_either_place_or_the_same_in_both() {
        let credential = taken(good(), Value::Null).unwrap().unwrap();
        assert_eq!(
            (credential.channel.0, credential.seq, credential.sig.0),
            ([7; 32], Seq::new(42), [8; 64])
        );
        assert_eq!(taken(Value::Null, good()), Ok(Some(credential)));
        let mut same = good();
        same["seq"] = json!(42);
        assert_eq!(taken(good(), same), Ok(Some(credential)), "written otherwise");
        assert_eq!(taken(Value::Null, Value::Null), Ok(None));
        let params = json!({"_amp": good()});
        assert_eq!(take(&mut RequestMetaObject::new(), Some(&params)), Ok(Some(credential)));
    }

    #[test]
    fn two_that_differ_are_refused_with_the_code_of_the_field() {
        let different = [
            ("channel", json!(Base58([9; 32])), Code::NoChannel),
            ("seq", json!("43"), Code::InvalidSeq),
            ("sig", json!(Base58([9; 64])), Code::InvalidSig),
        ];
        for (name, value, code) in different {
            let mut other = good();
            other[name] = value;
            assert_eq!(taken(good(), other), Err(code), "{name}");
        }
    }

    #[test]
    fn what_is_missing_or_malformed_is_refused_with_the_code_of_its_field() {
        let codes = [("channel", Code::NoChannel), ("seq", Code::InvalidSeq), ("sig", Code::InvalidSig)];
        let bad = ["", "0OIl", "-1", "+42", "1.5", "18446744073709551616"].map(|text| json!(text));
        let bad = bad.into_iter().chain([json!(-1), json!(1.5), json!([1]), json!({}), json!(true)]);
        for value in bad {
            for (name, code) in codes {
                let mut object = good();
                object[name] = value.clone();
                assert_eq!(taken(object, Value::Null), Err(code), "{name}: {value}");
            }
        }
        for (name, code) in codes {
            let mut object = good();
            object.as_object_mut().unwrap().remove(name);
            assert_eq!(taken(object, Value::Null), Err(code), "{name}");
        }
        for value in [json!("x"), json!([good()]), json!(7), json!(true)] {
            assert_eq!(taken(value, Value::Null), Err(Code::NoChannel));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(channel: String, seq: String, sig: String) {
            let _ = taken(json!({"channel": channel, "seq": seq, "sig": sig}), Value::Null);
        }
    }
}
