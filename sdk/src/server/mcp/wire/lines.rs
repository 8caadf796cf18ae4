use super::fields::Direction;

/// Longest line that is held to be looked at, in bytes: rmcp reads none that is longer.
const LONGEST: usize = rmcp::transport::async_rw::DEFAULT_MAX_LINE_LENGTH;
/// What a line of an event stream begins with.
const DATA: &[u8] = b"data:";

/// Edits messages in a stream of lines: one message a line, as over a pipe, or as the `data` of server-sent
/// events.
pub(super) struct Lines {
    direction: Direction,
    /// The begun line.
    held: Vec<u8>,
    /// The line is longer than [`LONGEST`]: it goes on as it comes.
    passing: bool,
}

impl Lines {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, held: Vec::new(), passing: false }
    }

    /// Takes bytes in, and puts what can go on into `out`.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            if self.passing {
                out.extend_from_slice(piece);
                self.passing = !ends;
                continue;
            }
            self.held.extend_from_slice(piece);
            if ends {
                self.end(out);
            } else if self.held.len() > LONGEST {
                out.append(&mut self.held);
                self.passing = true;
            }
        }
    }

    /// The line ends, or the stream within it.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.held);
        let text = line.trim_ascii_end();
        let (prefix, message) = match text.strip_prefix(DATA) {
            Some(message) => (DATA, message),
            None => (&[][..], text),
        };
        match self.direction.edit(message) {
            None => out.extend_from_slice(&line),
            Some(edited) => {
                out.extend_from_slice(prefix);
                out.extend_from_slice(&edited);
                out.extend(line.iter().skip(text.len()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(direction: Direction, text: &[u8], piece: usize) -> Vec<u8> {
        let (mut lines, mut out) = (Lines::new(direction), Vec::new());
        for bytes in text.chunks(piece) {
            lines.push(bytes, &mut out);
        }
        lines.end(&mut out);
        out
    }

    #[test]
    fn a_line_is_edited_however_it_is_cut_and_its_neighbours_are_not() {
        let text = "{\"a\":1}\n{\"params\":{\"_amp\":7}}\r\n\n{\"params\":{\"_amp\":8}}";
        let expected =
            "{\"a\":1}\n{\"params\":{\"_meta\":{\"_amp\":7}}}\r\n\n{\"params\":{\"_meta\":{\"_amp\":8}}}";
        for piece in 1..=text.len() {
            let out = through(Direction::In, text.as_bytes(), piece);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn the_data_of_an_event_is_edited_and_its_other_lines_are_not() {
        let text = ": ping\nevent: message\nid: 1\ndata: {\"result\":{\"_meta\":{\"amp\":7}}}\n\n";
        let expected =
            ": ping\nevent: message\nid: 1\ndata:{\"result\":{\"_amp\":7,\"_meta\":{\"amp\":7}}}\n\n";
        let out = through(Direction::Out, text.as_bytes(), 3);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let (mut lines, mut out) = (Lines::new(Direction::In), Vec::new());
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            lines.push(&piece, &mut out);
            assert!(lines.held.len() <= LONGEST);
        }
        assert!(lines.passing && out.len() == 20 << 20);
        out.clear();
        lines.push(b"\"_amp\"\n{\"params\":{\"_amp\":7}}\n", &mut out);
        assert_eq!(out, b"\"_amp\"\n{\"params\":{\"_meta\":{\"_amp\":7}}}\n");
    }

    proptest! {
        #[test]
        fn what_has_no_credential_is_not_changed(text in "[ -~\r\n]{0,200}", piece in 1..20usize) {
            prop_assume!(!text.contains("amp"));
            prop_assert_eq!(through(Direction::In, text.as_bytes(), piece), text.as_bytes());
            prop_assert_eq!(through(Direction::Out, text.as_bytes(), piece), text.as_bytes());
        }
    }
}
