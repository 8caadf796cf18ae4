use amp_protocol::text::mcp;
use serde_json::{Map, Value};

/// In which direction a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// `params._amp` is moved to `params._meta._amp`.
    In,
    /// `result._meta.amp` is copied to `result._amp`.
    Out,
}

impl Direction {
    /// The message as it goes on, or `None` where it goes on as it is.
    pub(super) fn edit(self, text: &[u8]) -> Option<Vec<u8>> {
        if !self.concerns(text) {
            return None;
        }
        let mut message = serde_json::from_slice(text).ok()?;
        match self {
            Self::In => lift(&mut message)?,
            Self::Out => lower(&mut message)?,
        }
        serde_json::to_vec(&message).ok()
    }

    /// Whether it can be a message to edit: most are not even parsed. A name that is spelled with escapes is
    /// missed; such a credential counts as none, which nobody gains by.
    fn concerns(self, text: &[u8]) -> bool {
        let name: &[u8] = match self {
            Self::In => b"\"_amp\"",
            Self::Out => b"\"amp\"",
        };
        text.windows(name.len()).any(|window| window == name)
    }
}

/// `_meta._amp` is a name of its own: a `_meta.amp` that is there as well is compared with it where the
/// credential is read.
fn lift(message: &mut Value) -> Option<()> {
    let params = message.get_mut("params")?.as_object_mut()?;
    let credential = params.remove(mcp::FIELD)?;
    meta_of(params)?.insert(mcp::FIELD.to_owned(), credential);
    Some(())
}

fn lower(message: &mut Value) -> Option<()> {
    let result = message.get_mut("result")?.as_object_mut()?;
    let receipt = result.get("_meta")?.get(mcp::META)?.clone();
    result.insert(mcp::FIELD.to_owned(), receipt);
    Some(())
}

/// None where `_meta` is something else than an object: rmcp refuses the message.
fn meta_of(params: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    let meta = params.entry("_meta").or_insert(Value::Null);
    if meta.is_null() {
        *meta = Value::Object(Map::new());
    }
    meta.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn edited(direction: Direction, message: Value) -> Option<Value> {
        let text = serde_json::to_vec(&message).unwrap();
        direction.edit(&text).map(|text| serde_json::from_slice(&text).unwrap())
    }

    #[test]
    fn a_credential_in_params_goes_into_meta_beside_what_is_there() {
        let expected = json!({"id": 1, "params": {"name": "a", "_meta": {"_amp": {"seq": "1"}}}});
        for meta in [json!({}), Value::Null] {
            let message = json!({"id": 1, "params": {"name": "a", "_amp": {"seq": "1"}, "_meta": meta}});
            assert_eq!(edited(Direction::In, message), Some(expected.clone()));
        }
        let message = json!({"params": {"_amp": 1, "_meta": {"amp": 2, "_amp": 3, "progressToken": 4}}});
        let expected = json!({"params": {"_meta": {"amp": 2, "_amp": 1, "progressToken": 4}}});
        assert_eq!(edited(Direction::In, message), Some(expected));
    }

    #[test]
    fn a_receipt_is_copied_out_of_meta() {
        let message = json!({"id": 1, "result": {"content": [], "_meta": {"amp": {"spent": "1"}}}});
        let expected = json!({"id": 1, "result": {"content": [], "_amp": {"spent": "1"}, "_meta": {"amp": {"spent": "1"}}}});
        assert_eq!(edited(Direction::Out, message), Some(expected));
    }

    #[test]
    fn other_messages_go_on_byte_by_byte() {
        let others = [
            json!({"id": 1, "method": "tools/call", "params": {"arguments": {"_amp": 1}}}),
            json!({"id": 1, "params": {"_amp": 1, "_meta": "text"}}),
            json!({"id": 1, "params": [{"_amp": 1}]}),
            json!({"_amp": 1}),
            json!([{"params": {"_amp": 1}}]),
            json!({"id": 1, "result": {"structuredContent": {"_meta": {"amp": 1}}}}),
            json!({"id": 1, "error": {"data": {"amp": 1}}}),
        ];
        for message in others {
            assert_eq!(edited(Direction::In, message.clone()), None, "{message}");
            assert_eq!(edited(Direction::Out, message.clone()), None, "{message}");
        }
        for text in ["", "\"_amp\"", "{\"params\":{\"_amp\":", "\"amp\""] {
            assert_eq!(Direction::In.edit(text.as_bytes()), None);
            assert_eq!(Direction::Out.edit(text.as_bytes()), None);
        }
    }
}
