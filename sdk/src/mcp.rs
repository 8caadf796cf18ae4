//! What both sides count of a tool's result.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::Value;

/// What any number counts: its digits are each writer's own, and a reader may round the last.
const NUMBER: usize = 8;

/// The bytes of a result that a price by the byte counts: its texts, the base64 of its images, sounds and blobs, and of
/// its structured content each string and each name, with 8 for a number and 1 for what else there is. What is around
/// them is the protocol's, and free. It is the same however the JSON is written on its way.
pub(crate) fn bytes_of(result: &CallToolResult) -> u64 {
    let content = result.content.iter().map(|block| match block {
        ContentBlock::Text(text) => text.text.len(),
        ContentBlock::Image(image) => image.data.len(),
        ContentBlock::Audio(audio) => audio.data.len(),
        ContentBlock::Resource(resource) => match &resource.resource {
            ResourceContents::TextResourceContents { text, .. } => text.len(),
            ResourceContents::BlobResourceContents { blob, .. } => blob.len(),
            _ => 0,
        },
        _ => 0,
    });
    let structured = result.structured_content.as_ref().map_or(0, bytes_of_value);
    let all = content.fold(structured, usize::saturating_add);
    u64::try_from(all).unwrap_or(u64::MAX)
}

fn bytes_of_value(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Number(_) => NUMBER,
        Value::Null | Value::Bool(_) => 1,
        Value::Array(items) => items.iter().map(bytes_of_value).fold(0, usize::saturating_add),
        Value::Object(members) => {
            let sizes = members.iter().map(|(name, value)| name.len().saturating_add(bytes_of_value(value)));
            sizes.fold(0, usize::saturating_add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_blobs_and_structured_content_are_counted_and_what_is_around_them_is_not() {
        let result = json!({
            "content": [
                {"type": "text", "text": "grün"},
                {"type": "image", "data": "AAAA", "mimeType": "image/png"},
                {"type": "audio", "data": "AAAABBBB", "mimeType": "audio/wav"},
                {"type": "resource", "resource": {"uri": "file:///long/name", "text": "abc"}},
                {"type": "resource", "resource": {"uri": "file:///long/name", "blob": "AAAA"}},
                {"type": "resource_link", "uri": "file:///long/name", "name": "elsewhere"},
            ],
            "structuredContent": {"name": [1, 395.73219658976933, "ü", null, true]},
            "_meta": {"own": "word"},
        });
        let result: CallToolResult = serde_json::from_value(result).unwrap();
        assert_eq!(bytes_of(&result), (5 + 4 + 8 + 3 + 4) + (4 + 8 + 8 + 2 + 1 + 1));
        let read_again: CallToolResult =
            serde_json::from_str(&serde_json::to_string(&result).unwrap()).unwrap();
        assert_eq!(bytes_of(&read_again), bytes_of(&result));
        assert_eq!(bytes_of(&CallToolResult::success(vec![])), 0);
    }
}
