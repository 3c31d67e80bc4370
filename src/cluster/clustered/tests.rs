use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::cluster::MemoryBackplane;
use crate::store::MemoryStore;
use crate::testing;

/// A store like any other, whatever the other nodes are.
#[tokio::test]
async fn keeps_the_contract_of_a_store() {
    let seconds = Duration::from_secs;
    let timing =
        Timing { publish: seconds(2), subscribe: seconds(1), outage: seconds(10), answer: seconds(1) };
    let (backplane, metrics) = (MemoryBackplane::new(), crate::metrics::Metrics::register());
    let node = |backplane: MemoryBackplane| {
        let inner = Arc::new(MemoryStore::new());
        Clustered::new(inner, Arc::new(backplane), NodeId::random(), timing, metrics.cluster().clone())
    };
    let (one, other) = (node(backplane.join()), node(backplane.join()));
    testing::store::all(&one).await;
    // On the other node as well, while the first has sessions.
    other.join().await;
    testing::store::all(&other).await;
}
