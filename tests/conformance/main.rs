//! RFC 6455 and RFC 7692 case by case, from a raw socket against the echo of `examples/echo.rs`. The classes are those of
//! the Autobahn TestSuite; the cases are our own.
#![cfg(feature = "warp")]

#[path = "../support/mod.rs"]
mod support;

#[allow(dead_code)]
#[path = "../../examples/echo.rs"]
mod echo;

mod case;
mod closing;
#[cfg(feature = "deflate")]
mod deflate;
mod fragmentation;
mod framing;
mod limits;
mod pings;
mod reserved;
mod utf8;

use std::time::Duration;

use case::Class;
use futures_util::{StreamExt as _, stream};
use keywire::Config;
use keywire::limits::Compression;
use support::Server;

/// No timer ends what ought to end by itself.
fn patient() -> Config {
    Config { ping_interval: None, close_timeout: Duration::MAX, ..echo::config(Compression::OFF) }
}

const AT_ONCE: usize = 8;

/// Runs all cases of a class, and says which failed.
async fn run(class: Class) {
    let Class { name, count, config, cases } = class;
    let server = Server::start(echo::hub(config)).await;
    let mut names: Vec<_> = cases.iter().map(|case| &case.name).collect();
    names.sort();
    names.dedup();
    assert_eq!((cases.len(), names.len()), (count, count), "{name}: cases were lost, added or named alike");

    let failed: Vec<_> = stream::iter(&cases)
        .map(|case| async {
            let run = std::panic::AssertUnwindSafe(case.run(&server));
            futures_util::FutureExt::catch_unwind(run).await.err().map(|_| &case.name)
        })
        .buffered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    println!("{name}: {count} cases");
    assert!(failed.is_empty(), "{name}: {} of {count} failed: {failed:#?}", failed.len());
    let left = support::within("the last connection", server.hub.shutdown(Duration::MAX)).await;
    assert_eq!(left, 0, "{name}");
}

macro_rules! classes {
    ($($(#[$meta:meta])* $class:ident)*) => {$(
        $(#[$meta])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $class() {
            run($class::class()).await;
        }
    )*

    #[test]
    fn all_of_them() {
        let count: usize = [$($(#[$meta])* $class::class().count),*].iter().sum();
        println!("{count} cases");
        assert_eq!(count, if cfg!(feature = "deflate") { 1219 } else { 1007 });
    }};
}

classes! {
    framing
    pings
    reserved
    fragmentation
    utf8
    closing
    limits
    #[cfg(feature = "deflate")]
    deflate
}
