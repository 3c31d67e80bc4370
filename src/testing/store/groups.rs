use super::scene::{insert, insert_as, listener, new_group, remove_all, session};
use crate::delivery::{Order, Recipients};
use crate::frame::Frame;
use crate::group::Group;
use crate::limits::SessionPolicy;
use crate::message::Push;
use crate::session::{JoinError, Joined, Left, Sent};
use crate::store::SessionStore;
use crate::testing::new_key;

/// Sessions of any key join a group and leave it, and what is sent to it reaches its members.
pub async fn a_group_has_its_members(store: &dyn SessionStore) {
    let (group, other) = (new_group("members"), new_group("members-other"));
    let ((one, mut ones), (two, mut twos), (three, mut threes)) =
        (listener(&new_key("a")), listener(&new_key("b")), listener(&new_key("c")));
    for session in [&one, &two, &three] {
        insert(store, session).await;
    }
    assert_eq!(store.members(&group).await, 0, "a group that nobody has joined");
    assert_eq!(join(store, &one, &group).await, Joined { joined: true, first: true });
    assert_eq!(join(store, &one, &group).await, Joined { joined: false, first: false }, "a member already");
    assert_eq!(join(store, &two, &group).await, Joined { joined: true, first: false });
    assert_eq!(join(store, &three, &other).await, Joined { joined: true, first: true });
    assert_eq!((store.members(&group).await, store.members(&other).await), (2, 1));
    assert!(one.is_in(&group) && !three.is_in(&group));

    let to = Recipients::group(group.clone());
    send(store, &to, [&mut ones, &mut twos, &mut threes], [1, 1, 0]).await;
    send(store, &to.clone().except(&two), [&mut ones, &mut twos, &mut threes], [1, 0, 0]).await;
    let mut members = store.sessions(&to).await;
    members.sort_by_key(|session| *session != one);
    assert_eq!(members, [one.clone(), two.clone()]);

    assert_eq!(store.leave(&one, &group).await, Left { left: true, last: false });
    assert_eq!(store.leave(&one, &group).await, Left { left: false, last: false }, "no member any more");
    assert_eq!(store.leave(&three, &group).await, Left { left: false, last: false }, "never a member");
    send(store, &to, [&mut ones, &mut twos, &mut threes], [0, 1, 0]).await;
    assert_eq!(store.leave(&two, &group).await, Left { left: true, last: true });
    send(store, &to, [&mut ones, &mut twos, &mut threes], [0, 0, 0]).await;
    assert_eq!((store.members(&group).await, store.members(&other).await), (0, 1));
    assert_eq!(join(store, &two, &group).await, Joined { joined: true, first: true }, "once more");
    remove_all(store, [one, two, three]).await;
}

/// A session that is not in the store yet, or not any more, cannot join.
pub async fn only_a_session_of_the_store_joins(store: &dyn SessionStore) {
    let (group, key) = (new_group("outside"), new_key("outside"));
    let (stranger, former) = (session(&key), session(&key));
    insert(store, &former).await;
    store.remove(&former).await;
    for (what, session) in [("has not come", &stranger), ("has gone", &former)] {
        let joined = store.join(session, &group).await;
        assert!(matches!(joined, Err(JoinError::Ended)), "a session that {what}: {joined:?}");
        assert!(!session.is_in(&group), "a session that {what} is in no group");
    }
    assert_eq!(store.members(&group).await, 0);
}

/// A membership ends when its session is removed or replaced. [`Session::groups`](crate::Session::groups) still names the group.
pub async fn a_membership_ends_with_the_session(store: &dyn SessionStore) {
    let (group, key) = (new_group("end"), new_key("end"));
    let (removed, replaced, newest) = (session(&key), session(&key), session(&key));
    insert(store, &removed).await;
    join(store, &removed, &group).await;
    store.remove(&removed).await;
    assert_eq!(store.members(&group).await, 0, "its session was removed");
    assert_eq!(removed.groups(), std::slice::from_ref(&group));

    insert(store, &replaced).await;
    assert_eq!(join(store, &replaced, &group).await, Joined { joined: true, first: true });
    insert_as(store, &newest, SessionPolicy::Replace).await.expect("room for the newest");
    assert_eq!(store.members(&group).await, 0, "its session was replaced");
    assert_eq!(replaced.groups(), std::slice::from_ref(&group));
    assert_eq!(join(store, &newest, &group).await, Joined { joined: true, first: true });
    remove_all(store, [replaced, newest]).await;
}

async fn join(store: &dyn SessionStore, session: &crate::session::Session, group: &Group) -> Joined {
    let joined = store.join(session, group).await;
    joined.unwrap_or_else(|error| panic!("a session of the store did not join a group: {error}"))
}

async fn send(store: &dyn SessionStore, to: &Recipients, sent: [&mut Sent; 3], expected: [usize; 3]) {
    let order = Order::Deliver(Frame::push(&Push::message("hi")));
    assert_eq!(store.dispatch(to, &order).await.delivered, expected.iter().sum::<usize>());
    assert_eq!(sent.map(|sent| sent.pushes().len()), expected, "who got what was sent to {to:?}");
}
