use super::*;
use crate::auth::RawKey;
use crate::group::Group;
use crate::handshake::Dialect;
use crate::hub::Hub;
use crate::key::Identity;
use crate::rejection::Rejection;

fn hub() -> Hub {
    Hub::builder(RawKey::from_path()).build()
}

fn session(hub: &Hub, opening: &Undecided, key: &str) -> Session {
    let identity = Identity::new(Key::new(key).unwrap());
    Session::with_id(opening.id(), hub.clone(), identity, None, Dialect::V1, false, None)
}

fn close(hub: &Hub, to: &Recipients) -> usize {
    hub.underway().apply(to, &Order::Close(CloseCode::DISCONNECTED, "".into())).delivered
}

/// How much is kept: undecided, promised, closes.
fn kept(hub: &Hub) -> (usize, usize, usize) {
    let state = hub.underway().lock();
    (state.undecided.len(), state.promised.len(), state.closes.len())
}

#[test]
fn nothing_is_kept_of_what_is_over() {
    let hub = hub();
    let everyone = Recipients::everyone();
    close(&hub, &everyone);
    assert_eq!(kept(&hub), (0, 0, 0), "no opening, no memory of closes");
    let (first, second) = (Undecided::begin(&hub), Undecided::begin(&hub));
    for _ in 0..3 {
        close(&hub, &everyone);
    }
    assert_eq!(kept(&hub), (2, 0, 3));
    let third = Undecided::begin(&hub);
    close(&hub, &everyone);
    let alice = session(&hub, &first, "alice");
    let promised = first.promise(&alice).unwrap();
    assert_eq!(kept(&hub), (2, 1, 4));
    drop(second);
    assert_eq!(kept(&hub), (1, 1, 1), "what is older than the last opening is meant for nobody");
    drop((third, promised));
    assert_eq!(kept(&hub), (0, 0, 0));
}

#[test]
fn what_is_kept_is_bounded() {
    let hub = hub();
    let opening = Undecided::begin(&hub);
    for _ in 0..=MOST {
        close(&hub, &Recipients::key(Key::new("bob").unwrap()));
    }
    assert_eq!(kept(&hub), (1, 0, MOST));
    let later = Undecided::begin(&hub);
    let (alice, bob) = (session(&hub, &opening, "alice"), session(&hub, &later, "bob"));
    assert_eq!(opening.promise(&alice).unwrap_err().rejection, Rejection::Unavailable);
    let _bob = later.promise(&bob).unwrap();
    assert!(bob.is_open(), "it began after all of them");
}

#[test]
fn an_order_finds_those_that_it_is_meant_for() {
    let hub = hub();
    let promise = |key| {
        let opening = Undecided::begin(&hub);
        let session = session(&hub, &opening, key);
        (opening.promise(&session).unwrap(), session)
    };
    let promised: Vec<_> = ["a", "alice", "alice", "alice2", "b"].into_iter().map(promise).collect();
    let open = || promised.iter().map(|(_, session)| session.is_open()).collect::<Vec<_>>();
    assert_eq!(close(&hub, &Recipients::session(&promised[4].1)), 1);
    assert_eq!(open(), [true, true, true, true, false]);
    assert_eq!(close(&hub, &Recipients::key(Key::new("alice").unwrap()).except(&promised[1].1)), 1);
    assert_eq!(open(), [true, true, false, true, false]);
    let keys = ["alice", "nobody", "alice2"].map(|key| Key::new(key).unwrap());
    assert_eq!(close(&hub, &Recipients::keys(keys)), 2);
    assert_eq!(open(), [true, false, false, false, false]);
    let group = Group::new("a").unwrap();
    let undecided = Undecided::begin(&hub);
    assert_eq!(close(&hub, &Recipients::group(group)), 0, "nobody on the way in is in a group");
    assert_eq!(kept(&hub), (1, 5, 0));
    drop(undecided);
    assert_eq!(close(&hub, &Recipients::everyone()), 1);
}

#[test]
fn several_keys_are_remembered_for_those_that_are_undecided() {
    let hub = hub();
    let [alice, bob] = [Undecided::begin(&hub), Undecided::begin(&hub)];
    close(&hub, &Recipients::keys([Key::new("alice").unwrap(), Key::new("eve").unwrap()]));
    let sessions = [session(&hub, &alice, "alice"), session(&hub, &bob, "bob")];
    let _promised = [alice.promise(&sessions[0]).unwrap(), bob.promise(&sessions[1]).unwrap()];
    assert_eq!(sessions.map(|session| session.is_open()), [false, true]);
}
