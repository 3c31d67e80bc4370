use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::Redis;
use super::commands::Script;
use super::error::CallError;
use super::names::Partition;
use super::resp::Value;
use crate::auth::{TicketError, TicketHash, TicketStore};
use crate::key::{Identity, Key};

/// Most unused tickets of a key.
const MOST_OF_A_KEY: usize = 64;

/// Key: the tickets of a user, by expiry. Arguments: the ticket, its lifetime. Returns whether there is room for it.
static ISSUE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(format!(
        r"
local tickets, ticket, lifetime = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', tickets, '-inf', now)
if redis.call('ZCARD', tickets) >= {MOST_OF_A_KEY} then return 0 end
redis.call('ZADD', tickets, now + lifetime, ticket)
-- Tickets may have different lifetimes.
if redis.call('PTTL', tickets) < lifetime then redis.call('PEXPIRE', tickets, lifetime) end
return 1
"
    ))
});

/// Longest lifetime, a year: Redis refuses times that are too far away.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Tickets on Redis: at most 64 unused ones for each key. The number of all tickets has no other limit.
///
/// Of an identity the key and the expiry are stored, and not the values of the application. A ticket that Redis loses in a failover
/// is refused, and the client fetches another one.
#[async_trait]
impl TicketStore for Redis {
    async fn put(
        &self,
        ticket: TicketHash,
        identity: Identity,
        lifetime: Duration,
    ) -> Result<(), TicketError> {
        let millis = lifetime.min(LONGEST).as_millis().max(1).to_string();
        let hash = ticket.to_string();
        let (partition, tickets) = self.tickets_of(identity.key());
        let (keys, arguments) = ([tickets.as_bytes()], [hash.as_bytes(), millis.as_bytes()]);
        let issued = self.shared.commands.run(&ISSUE, partition, &keys, &arguments).await?;
        if issued.as_int() == Some(0) {
            return Err(TicketError::Full);
        }
        let (partition, name) = self.ticket(&hash);
        let value = encode(&identity);
        let command: [&[u8]; 5] = [b"SET", name.as_bytes(), value.as_bytes(), b"PX", millis.as_bytes()];
        self.shared.commands.call(partition, &command).await?;
        Ok(())
    }

    async fn take(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
        let hash = ticket.to_string();
        let (partition, name) = self.ticket(&hash);
        let command: [&[u8]; 2] = [b"GETDEL", name.as_bytes()];
        let identity = decode(&self.shared.commands.call(partition, &command).await?)?;
        if let Some(identity) = &identity {
            let (partition, tickets) = self.tickets_of(identity.key());
            let command: [&[u8]; 3] = [b"ZREM", tickets.as_bytes(), hash.as_bytes()];
            // If this fails, the ticket counts until its lifetime ends.
            let _ = self.shared.commands.call(partition, &command).await;
        }
        Ok(identity)
    }

    async fn peek(&self, ticket: TicketHash) -> Result<Option<Identity>, TicketError> {
        let (partition, name) = self.ticket(&ticket.to_string());
        let command: [&[u8]; 2] = [b"GET", name.as_bytes()];
        decode(&self.shared.commands.call(partition, &command).await?)
    }
}

impl Redis {
    /// The name of a ticket.
    fn ticket(&self, hash: &str) -> (Partition, String) {
        let partition = Partition::of(hash);
        (partition, self.shared.names.of(partition, 't', hash))
    }

    /// The name of the unused tickets of a key.
    fn tickets_of(&self, key: &Key) -> (Partition, String) {
        let partition = Partition::of(key.as_str());
        (partition, self.shared.names.of(partition, 'u', key.as_str()))
    }
}

/// The expiry in milliseconds since 1970, or nothing; a space; the key.
fn encode(identity: &Identity) -> String {
    let millis = |end: SystemTime| {
        end.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis()).to_string()
    };
    format!("{} {}", identity.expires_at().map(millis).unwrap_or_default(), identity.key())
}

fn decode(value: &Value) -> Result<Option<Identity>, TicketError> {
    if *value == Value::Nil {
        return Ok(None);
    }
    let parse = || {
        let (end, key) = value.as_str()?.split_once(' ')?;
        let identity = Identity::new(Key::new(key).ok()?);
        if end.is_empty() {
            return Some(identity);
        }
        let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(end.parse().ok()?))?;
        Some(identity.expiring_at(end))
    };
    parse().map(Some).ok_or_else(|| CallError::Unexpected.into())
}

impl From<CallError> for TicketError {
    fn from(error: CallError) -> Self {
        Self::Unavailable(error.into())
    }
}
