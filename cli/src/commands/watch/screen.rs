//! The terminal while a view is on it, and the keys that end that.

use std::io::{IsTerminal, Read, Write, stdin, stdout};
use std::pin::Pin;

use amp_gateway::stop_signal;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use tokio::sync::mpsc;

use super::view::View;

/// Of a terminal that does not tell how large it is: columns, rows.
const USUAL: (u16, u16) = (80, 24);
/// Ctrl-C, as a terminal in raw mode has it: there it is a key like any other.
const CTRL_C: u8 = 3;

/// A screen beside the one with the shell's lines. When it is dropped, however that comes, the terminal is as it was.
pub(super) struct Screen {
    is_raw: bool,
}

impl Screen {
    pub(super) fn open() -> std::io::Result<Self> {
        // keys one by one, where there is somebody to press them
        let is_raw = stdin().is_terminal() && enable_raw_mode().is_ok();
        let screen = Self { is_raw };
        execute!(stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Draws over what was there: line by line, so that nothing flickers.
    pub(super) fn draw(&mut self, view: &View) -> std::io::Result<()> {
        let (columns, rows) = size().ok().filter(|(columns, rows)| columns.min(rows) > &0).unwrap_or(USUAL);
        let mut frame = Vec::new();
        for (row, line) in (0..rows).zip(view.lines(Some((columns.into(), rows.into())))) {
            queue!(frame, MoveTo(0, row))?;
            write!(frame, "{line}")?;
            queue!(frame, Clear(ClearType::UntilNewLine))?;
        }
        queue!(frame, Clear(ClearType::FromCursorDown))?;
        let mut stdout = stdout().lock();
        stdout.write_all(&frame)?;
        stdout.flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(stdout(), Show, LeaveAlternateScreen);
        if self.is_raw {
            let _ = disable_raw_mode();
        }
    }
}

/// What ends a view: q, Ctrl-C, or a signal.
pub(super) struct Stop {
    keys: mpsc::Receiver<()>,
    signal: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Stop {
    pub(super) fn listen() -> Self {
        let (pressed, keys) = mpsc::channel(1);
        if stdin().is_terminal() {
            // a thread of its own: the runtime would wait for one of its own that reads, and nobody waits for this one
            std::thread::spawn(move || {
                let ends = |byte: &u8| [b'q', b'Q', CTRL_C].contains(byte);
                let mut keys = [0; 16];
                while let Ok(count @ 1..) = stdin().read(&mut keys) {
                    if keys.iter().take(count).any(ends) && pressed.blocking_send(()).is_err() {
                        return;
                    }
                }
            });
        }
        Self { keys, signal: Box::pin(stop_signal()) }
    }

    /// Comes when it is to end.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            Some(()) = self.keys.recv() => {}
            () = &mut self.signal => {}
        }
    }
}
