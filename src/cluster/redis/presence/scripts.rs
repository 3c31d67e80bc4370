//! The scripts of presence. Each runs in one step on the server.
//!
//! A lease is a node and the number of that lease, since a node whose lease has ended gets another one. So a sweep of the old lease
//! cannot remove what the node records under the new one.

use std::sync::LazyLock;

use super::super::commands::Script;

/// Key: the leases, by the time of their end. Arguments: the node, the number of its lease or nothing, the duration. Returns the
/// number, and whether the lease is new.
pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local leases, node, number, lease = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local now = clock()
local known = number ~= '' and redis.call('ZSCORE', leases, node .. '.' .. number)
local new = 0
if not (known and tonumber(known) > now) then
    -- What it has recorded since the end of the lease is swept as well.
    if number ~= '' then redis.call('ZADD', leases, 0, node .. '.' .. number) end
    new, number = 1, string.format('%.0f', now)
    while redis.call('ZSCORE', leases, node .. '.' .. number) do number = string.format('%.0f', number + 1) end
end
redis.call('ZADD', leases, now + lease, node .. '.' .. number)
return { number, new }
",
    )
});

/// Key: the leases. Returns some that have ended.
pub(super) static ENDED: LazyLock<Script> = LazyLock::new(|| {
    script(
        "return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', clock()), 'LIMIT', 0, 16)\n",
    )
});

/// Key: the leases. Argument: a lease. Removes it if it has ended. Returns whether it has.
pub(super) static END: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local ended = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0') <= clock()
if ended then redis.call('ZREM', KEYS[1], ARGV[1]) end
return ended and 1 or 0
",
    )
});

/// Key: the leases. Returns those that have not ended.
pub(super) static NODES: LazyLock<Script> = LazyLock::new(|| {
    script("return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', clock()), '+inf')\n")
});

/// Keys: the counters of the partition, the keys of the lease, and the nodes of each key. Arguments: the node, the number of its
/// lease, and for each key its name and the number of sessions. Returns the sessions before and after, for each key.
pub(super) static UPDATE: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local counters, keys, node, number = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local result, more_keys, more_sessions = {}, 0, 0
for i = 3, #KEYS do
    local nodes, key, sessions = KEYS[i], ARGV[2 * i - 3], tonumber(ARGV[2 * i - 2])
    local before = total(nodes)
    local after = before - count(redis.call('HGET', nodes, node)) + sessions
    if sessions > 0 then
        redis.call('HSET', nodes, node, ARGV[2 * i - 2] .. ' ' .. number)
        redis.call('SADD', keys, key)
    else
        redis.call('HDEL', nodes, node)
        redis.call('SREM', keys, key)
    end
    if before == 0 and after > 0 then more_keys = more_keys + 1 end
    if before > 0 and after == 0 then more_keys = more_keys - 1 end
    more_sessions = more_sessions + after - before
    result[#result + 1] = before
    result[#result + 1] = after
end
add(counters, more_keys, more_sessions)
return result
",
    )
});

/// Keys: the counters of the partition, the keys of the lease. Arguments: the node, the number of its lease, the beginning of the
/// names of nodes of a key, the most keys. Returns the number of keys that were removed, and those that have left.
pub(super) static SWEEP: LazyLock<Script> = LazyLock::new(|| {
    script(
        r"
local counters, keys, node, number, names = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3]
local popped = redis.call('SPOP', keys, ARGV[4])
local left, less_sessions = {}, 0
for _, key in ipairs(popped) do
    local nodes = names .. key
    local recorded = redis.call('HGET', nodes, node)
    -- Otherwise the node has recorded it again, under another lease.
    if recorded and string.match(recorded, ' (%d+)$') == number then
        redis.call('HDEL', nodes, node)
        less_sessions = less_sessions + count(recorded)
        if redis.call('EXISTS', nodes) == 0 then left[#left + 1] = key end
    end
end
add(counters, -#left, -less_sessions)
return { #popped, left }
",
    )
});

fn script(text: &str) -> Script {
    Script::new(format!("{COMMON}{text}"))
}

const COMMON: &str = r"
local function clock()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The sessions of a node of a key: `sessions lease`.
local function count(value) return tonumber(string.match(value or '', '^%d+') or '0') end

local function total(nodes)
    local sum = 0
    for _, value in ipairs(redis.call('HVALS', nodes)) do sum = sum + count(value) end
    return sum
end

local function add(counters, keys, sessions)
    if keys ~= 0 then redis.call('HINCRBY', counters, 'keys', keys) end
    if sessions ~= 0 then redis.call('HINCRBY', counters, 'sessions', sessions) end
end
";
