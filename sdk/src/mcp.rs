//! What both sides count of a tool's result.

use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};

/// The bytes of a result that a price by the byte counts: its texts, the base64 of its images, sounds and blobs, and
/// its structured content as JSON without spaces. What is around them is the protocol's, and free.
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
    let structured = result.structured_content.as_ref().map_or(0, |value| value.to_string().len());
    let all = content.fold(structured, usize::saturating_add);
    u64::try_from(all).unwrap_or(u64::MAX)
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
            "structuredContent": {"a": [1, "ü"]},
            "_meta": {"own": "word"},
        });
        let result: CallToolResult = serde_json::from_value(result).unwrap();
        let structured = r#"{"a":[1,"ü"]}"#.len();
        assert_eq!(bytes_of(&result), u64::try_from(5 + 4 + 8 + 3 + 4 + structured).unwrap());
        assert_eq!(bytes_of(&CallToolResult::success(vec![])), 0);
    }
}
