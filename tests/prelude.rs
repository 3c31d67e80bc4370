//! The prelude beside everything of warp's and axum's: a name that two of them had would be ambiguous and would not compile.
#![cfg(all(feature = "jwt", feature = "warp"))]
#![allow(unused_imports, dead_code)]
#![deny(ambiguous_glob_imports)]

use axum::*;
use keywire::prelude::*;
use warp::*;

fn names(
    _: (JwtKey, Origins, RawKey, Switch, Code, Envelope, Flag),
    _: (Push, CloseCode, Delivery, Recipients),
) {
}

fn more(_: (Config, Hub, Identity, Key, Session, HandlerResult)) {}

struct Mine;

#[async_trait]
impl MessageHandler for Mine {}

fn takes(_: &dyn KeyExtractor, _: &dyn MessageHandler, _: &dyn SessionStore) {}

#[test]
fn a_hub_is_built_from_the_prelude_alone() {
    let _hub: Hub = Hub::builder(RawKey::from_path()).handler(Mine).build();
}
