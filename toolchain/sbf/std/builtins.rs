//! LLVM assumes of the functions that it calls by itself (float arithmetic and such) that a result
//! narrower than a register fills all of it. Functions compiled from Rust leave the rest undefined.

pub trait Result {
    type Register;
    fn extend(self) -> Self::Register;
}

macro_rules! results {
    ($($ty:ty => $register:ty: $result:ident => $extended:expr;)*) => {$(
        impl Result for $ty {
            type Register = $register;
            #[inline(always)]
            fn extend(self) -> $register {
                let $result = self;
                $extended
            }
        }
    )*};
}
results! {
    f16 => u64: x => x.to_bits() as u64;
    f32 => u64: x => x.to_bits() as u64;
    u32 => u64: x => x as u64;
    i32 => i64: x => x as i64;
    u64 => u64: x => x;
    i64 => i64: x => x;
    usize => usize: x => x;
    isize => isize: x => x;
    f64 => f64: x => x;
    f128 => f128: x => x;
    u128 => u128: x => x;
    i128 => i128: x => x;
    () => (): x => x;
}
