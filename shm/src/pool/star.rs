//! Tasks of several arguments, which are called with a tuple.

/// A task of several arguments, for [`starmap`](crate::Executor::starmap): a function, or a closure that captures nothing.
///
/// Implemented for all that take from two to six arguments.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no task for `starmap`",
    note = "a task takes from two to six arguments, as many as the tuples have, and captures nothing; for one argument use \
            `map`"
)]
pub trait StarTask<A>: rules::StarTask<A> {}

impl<A, F: rules::StarTask<A>> StarTask<A> for F {}

pub(crate) mod rules {
    /// Not to be named outside: a task is called by the library alone.
    pub trait StarTask<A>: Copy + Send + Sync + 'static {
        /// What it returns.
        type Output;

        /// Calls it with the arguments of this tuple.
        ///
        /// # Safety
        ///
        /// There is a value of this type.
        unsafe fn call(arguments: A) -> Self::Output;
    }
}

/// The only value of a type that has no more than one.
///
/// # Safety
///
/// There is one.
#[inline]
unsafe fn the_only_one<F: Copy + 'static>() -> F {
    const {
        assert!(
            size_of::<F>() == 0,
            "the task must be a function or a closure that captures nothing, not a pointer to one"
        );
    }
    // SAFETY: it has no bytes, and there is one (promised by the caller).
    unsafe { std::mem::zeroed() }
}

macro_rules! star_task {
    ($($argument:ident),+) => {
        impl<F, R, $($argument),+> rules::StarTask<($($argument,)+)> for F
        where
            F: Fn($($argument),+) -> R + Copy + Send + Sync + 'static,
        {
            type Output = R;

            #[inline]
            #[allow(non_snake_case, reason = "the arguments are called like their types")]
            unsafe fn call(($($argument,)+): ($($argument,)+)) -> R {
                // SAFETY: promised by the caller.
                let task = unsafe { the_only_one::<F>() };
                task($($argument),+)
            }
        }
    };
}

star_task!(A, B);
star_task!(A, B, C);
star_task!(A, B, C, D);
star_task!(A, B, C, D, E);
star_task!(A, B, C, D, E, G);
