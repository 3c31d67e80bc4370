//! A session store of your own, around keywire's: it tells everybody how many users there are.
//!
//! Run with `cargo run --example store`, and open <http://127.0.0.1:8090/?alice> and <http://127.0.0.1:8090/?bob>.

use keywire::adapter::BROWSER_CLIENT;
use keywire::auth::RawKey;
use keywire::limits::SessionPolicy;
use keywire::store::{Counts, Inserted, MemoryStore, Order, Recipients, Removed, StoreError};
use keywire::{Delivery, Hub, Push, Session, SessionStore, async_trait};
use warp::Filter;

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<p></p>
<script type="module">
  import { Keywire } from '/keywire.js';

  const wire = new Keywire('/websocket', { key: location.search.slice(1) || 'alice' }).connect();
  wire.on('users', ({ data }) => (document.querySelector('p').textContent = `${data} users are here`));
</script>"#;

/// Tells all sessions the number of keys whenever a key comes or goes.
#[derive(Default)]
struct Announced(MemoryStore);

impl Announced {
    async fn announce(&self, hub: &Hub) {
        let push = Push::data(self.0.counts().await.keys).with_flag("users");
        let hub = hub.clone();
        // Not from within the store: it would wait for itself.
        tokio::spawn(async move { hub.broadcast(push).await });
    }
}

#[async_trait]
impl SessionStore for Announced {
    async fn insert(&self, session: Session, policy: SessionPolicy) -> Result<Inserted, StoreError> {
        let hub = session.hub().clone();
        let inserted = self.0.insert(session, policy).await?;
        self.announce(&hub).await;
        Ok(inserted)
    }

    async fn remove(&self, session: &Session) -> Removed {
        let removed = self.0.remove(session).await;
        if removed.last {
            self.announce(session.hub()).await;
        }
        removed
    }

    async fn dispatch(&self, to: &Recipients, order: &Order) -> Delivery {
        self.0.dispatch(to, order).await
    }

    async fn sessions(&self, of: &Recipients) -> Vec<Session> {
        self.0.sessions(of).await
    }

    async fn counts(&self) -> Counts {
        self.0.counts().await
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let hub = Hub::builder(RawKey::from_path()).store(Announced::default()).build();
    let routes = keywire::adapter::warp::websocket("websocket", hub.clone())
        .or(warp::path::end().map(|| warp::reply::html(PAGE)))
        .or(warp::path!("keywire.js")
            .map(|| warp::reply::with_header(BROWSER_CLIENT, "content-type", "text/javascript")));
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("http://{}/?alice", listener.local_addr()?);
    keywire::serve(listener, warp::service(routes)).run().await;
    Ok(())
}
