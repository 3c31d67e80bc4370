use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::route::{Function, HasState, StateFunction};

/// A hook in the form in which a [`Switch`](super::Switch) stores it. [`HookKind`] makes it.
pub type Hook<Args, Out> = Box<dyn Fn(Args) -> BoxFuture<'static, Out> + Send + Sync>;

/// A hook of a [`Switch`](super::Switch): an async function or closure that takes `Args`, or an `Arc` of the switch's state and then
/// `Args`.
///
/// The arguments determine the `Kind`, and [`HookKind`] has the other requirements. You never write out either type parameter.
// Two traits give better compiler messages, as for `IntoRoute`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a hook of this kind: its arguments are not those of one",
    label = "expected an async function of `{Args}`, or of an `Arc` of the switch's state and `{Args}`",
    note = "a closure has to name the types: `|session: Session| async move {{ .. }}`"
)]
pub trait IntoHook<Args, Kind> {}

/// The other requirements for a hook of a kind: it is async, returns the result of the hook, and can be called any number of times
/// (`Fn`) from any thread (`Send + Sync + 'static`, its future `Send`). See [`IntoHook`].
pub trait HookKind<H, S, Args, Out> {
    /// Makes the hook.
    fn hook(hook: H, state: &Arc<S>) -> Hook<Args, Out>;
}

macro_rules! functions_of {
    ($($arg:ident: $type:ident),*) => {
        impl<F, $($type,)* Answer> IntoHook<($($type,)*), Function<($($type,)*), Answer>> for F
        where
            F: FnOnce($($type),*) -> Answer,
        {
        }

        impl<F, S, $($type,)* Answer> IntoHook<($($type,)*), StateFunction<S, ($($type,)*), Answer>> for F
        where
            F: FnOnce(Arc<S>, $($type),*) -> Answer,
        {
        }

        impl<F, S, $($type,)* Fut, Out> HookKind<F, S, ($($type,)*), Out> for Function<($($type,)*), Fut>
        where
            Fut: Future<Output = Out> + Send + 'static,
            F: Fn($($type),*) -> Fut + Send + Sync + 'static,
        {
            fn hook(function: F, _: &Arc<S>) -> Hook<($($type,)*), Out> {
                Box::new(move |($($arg,)*)| Box::pin(function($($arg),*)))
            }
        }

        impl<F, S, Own, $($type,)* Fut, Out> HookKind<F, Own, ($($type,)*), Out>
            for StateFunction<S, ($($type,)*), Fut>
        where
            S: Send + Sync + 'static,
            Own: HasState<S>,
            Fut: Future<Output = Out> + Send + 'static,
            F: Fn(Arc<S>, $($type),*) -> Fut + Send + Sync + 'static,
        {
            fn hook(function: F, state: &Arc<Own>) -> Hook<($($type,)*), Out> {
                let state = Own::state(state);
                Box::new(move |($($arg,)*)| Box::pin(function(state.clone(), $($arg),*)))
            }
        }
    };
}

functions_of!(a: A);
functions_of!(a: A, b: B);
functions_of!(a: A, b: B, c: C);
