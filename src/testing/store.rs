//! Checks for the contract of a [`SessionStore`].
//!
//! ```
//! use keywire::store::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! keywire::testing::store::all(&MemoryStore::new()).await;
//! # }
//! ```

mod dispatch;
mod groups;
mod registry;
mod scene;

pub use self::dispatch::{
    a_closed_session_stays_until_it_is_removed, an_order_reaches_its_recipients_once,
    many_sessions_are_reached_once, orders_keep_their_order, unknown_recipients_get_nothing,
};
pub use self::groups::{
    a_group_has_its_members, a_membership_ends_with_the_session, only_a_session_of_the_store_joins,
};
pub use self::registry::{
    a_dropped_insertion_is_taken_back, a_key_has_as_many_sessions_as_it_may, a_session_is_removed_once,
    concurrent_calls_are_decided_one_by_one, first_and_last_alternate, sessions_and_keys_are_counted,
    sessions_have_the_order_of_their_insertion, the_newest_session_replaces_the_others,
    the_oldest_session_stays,
};
use crate::store::SessionStore;

/// Runs all checks that every store must pass. They use new keys and groups and leave nothing behind, so the store need not be empty.
/// Nobody else may use it meanwhile.
///
/// # Panics
///
/// If the store violates the contract.
pub async fn all(store: &dyn SessionStore) {
    first_and_last_alternate(store).await;
    a_session_is_removed_once(store).await;
    sessions_have_the_order_of_their_insertion(store).await;
    sessions_and_keys_are_counted(store).await;
    a_key_has_as_many_sessions_as_it_may(store).await;
    the_oldest_session_stays(store).await;
    the_newest_session_replaces_the_others(store).await;
    concurrent_calls_are_decided_one_by_one(store).await;
    a_dropped_insertion_is_taken_back(store).await;
    an_order_reaches_its_recipients_once(store).await;
    unknown_recipients_get_nothing(store).await;
    orders_keep_their_order(store).await;
    a_closed_session_stays_until_it_is_removed(store).await;
    a_group_has_its_members(store).await;
    only_a_session_of_the_store_joins(store).await;
    a_membership_ends_with_the_session(store).await;
    many_sessions_are_reached_once(store).await;
}
