/// The browser client, `client/keywire.js`: the source of an ES module without dependencies, for a route of your server.
///
/// Serve it as `text/javascript`, so that a page can write `import { Keywire } from '/keywire.js'`. Bundlers take the same file from
/// npm.
///
/// ```
/// # #[cfg(feature = "warp")] {
/// use warp::Filter;
///
/// let client = warp::path!("keywire.js").map(|| {
///     let reply = warp::reply::with_header(keywire::adapter::BROWSER_CLIENT, "content-type", "text/javascript");
///     // The browser revalidates, and so gets the new version after an upgrade of this crate.
///     warp::reply::with_header(reply, "cache-control", "no-cache")
/// });
/// # let _ = client;
/// # }
/// ```
pub const BROWSER_CLIENT: &str = include_str!("../client/keywire.js");
