//! Tasks of several arguments, which are called with a tuple.

/// A task of several arguments, for [`starmap`](crate::Executor::starmap): a function, or a closure that captures nothing.
///
/// Implemented for all that take from two to six arguments.
pub trait StarTask<A>: Copy + 'static {
    /// What it returns.
    type Output;

    /// Calls it with the arguments of this tuple.
    #[doc(hidden)]
    fn call(arguments: A) -> Self::Output;
}

/// The only value of a type that has no more than one.
#[inline]
fn the_only_one<F: Copy + 'static>() -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "the task must be a function or a closure that captures nothing, not a pointer to one"
        );
    }
    // SAFETY: it has no bytes, and there is one: `starmap` was called with it.
    unsafe { std::mem::zeroed() }
}

macro_rules! star_task {
    ($($argument:ident),+) => {
        impl<F, R, $($argument),+> StarTask<($($argument,)+)> for F
        where
            F: Fn($($argument),+) -> R + Copy + 'static,
        {
            type Output = R;

            #[inline]
            #[allow(non_snake_case, reason = "the arguments are called like their types")]
            fn call(($($argument,)+): ($($argument,)+)) -> R {
                the_only_one::<F>()($($argument),+)
            }
        }
    };
}

star_task!(A, B);
star_task!(A, B, C);
star_task!(A, B, C, D);
star_task!(A, B, C, D, E);
star_task!(A, B, C, D, E, G);
