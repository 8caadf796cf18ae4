//! The program's errors: anchor's view of `amp_protocol::rejection`, made from the same list.

use amp_protocol::rejection::Rejection;
use anchor_lang::prelude::*;

macro_rules! define {
    ($($name:ident = $number:tt, $message:tt;)*) => {
        #[error_code]
        #[derive(PartialEq, Eq)]
        pub enum AmpError {
            $(#[msg($message)] $name = $number,)*
        }

        impl From<Rejection> for AmpError {
            fn from(rejection: Rejection) -> Self {
                match rejection { $(Rejection::$name => Self::$name,)* }
            }
        }
    };
}

amp_protocol::rejections!(define);

/// `Err` with this rejection, as anchor wants it. Out of line: no error path is worth inlining.
#[cold]
#[inline(never)]
pub fn refuse<T>(rejection: Rejection) -> Result<T> {
    Err(AmpError::from(rejection).into())
}

/// Turns a rule's refusal into the program's.
pub trait OrRefuse<T> {
    /// The value, or the refusal as an anchor error.
    fn or_refuse(self) -> Result<T>;
}

impl<T> OrRefuse<T> for core::result::Result<T, Rejection> {
    fn or_refuse(self) -> Result<T> {
        self.or_else(refuse)
    }
}
