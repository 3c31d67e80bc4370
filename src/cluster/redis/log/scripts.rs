//! The scripts of the log. Each runs in one step on the server, for one key.
//!
//! A log is a list. Its first element is where the log begins, a line without a push; each other element is an entry:
//!
//! ```text
//! position time total push
//! ```
//!
//! `total` is the number of bytes of this push and of all before it, so the bytes between two entries are a difference. Positions
//! are contiguous, so the place of a position in the list is a difference too. A new log begins with the line `0`.
//!
//! While a slot of a Redis Cluster moves, a command with a key that is there and another that is not is refused. So a script gets
//! no key that it does not need.

use std::time::Duration;

use super::super::commands::Script;
use crate::log::Retention;

#[derive(Debug)]
pub(in super::super) struct Scripts {
    pub(super) append: Script,
    pub(super) read: Script,
    pub(super) seen: Script,
}

impl Scripts {
    /// The limits are a part of the scripts: they are the same for all calls.
    pub(in super::super) fn new(retention: &Retention, sharded: bool) -> Self {
        let publish = if sharded { "SPUBLISH" } else { "PUBLISH" };
        let settings = format!(
            "local ENTRIES, BYTES, AGE, MARK, ONCE, IDS = {}, {}, {}, {}, {}, {IDS}\nlocal PUBLISH = '{publish}'\n",
            number(retention.entries),
            number(retention.bytes),
            millis(retention.age),
            millis(retention.mark.max(retention.age)).max(1),
            millis(retention.once),
        );
        let script = |text| Script::new(format!("{settings}{COMMON}{text}"));
        Self { append: script(APPEND), read: script(READ), seen: script(SEEN) }
    }
}

/// Most ids that are remembered for a key.
const IDS: usize = 10_000;

/// Lua counts exactly up to this number, and Redis takes no later time to live.
const MOST: u64 = 1 << 50;

fn number(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(MOST).min(MOST)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(MOST).min(MOST)
}

const COMMON: &str = r"
local call, match, format = redis.call, string.match, string.format
local list = KEYS[1]
local BEGINNING = '0.0000000000000000'

local function clock()
    local time = call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The position, its number, the time and the total of a line.
local function head(line)
    if line == '0' then return BEGINNING, 0, 0, 0 end
    local at, seq, time, total = match(line, '^((%d+)%.%x+) (%d+) (%d+)')
    if not at then error(list .. ' is not a log of keywire', 0) end
    return at, tonumber(seq), tonumber(time), tonumber(total)
end

local function bare(at, time, total)
    return format('%s %.0f %.0f', at, time, total)
end

-- Drops `count` elements. What becomes the first loses its push.
local function drop(count)
    local at, _, time, total = head(call('LINDEX', list, count))
    call('LTRIM', list, count, -1)
    call('LSET', list, 0, bare(at, time, total))
end
";

/// Keys: the list, and the ids if there is an id. Arguments: the tag, the push, the channel, the head of the announcement, the id or
/// nothing.
///
/// The first write comes after everything that can fail: a refusal before it has no effect.
const APPEND: &str = r"
local ids = KEYS[2]
local tag, push, channel, announcement, id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local now = clock()
local last = call('LINDEX', list, -1)
local prev, seq, _, total = head(last or '0')
if id ~= '' then
    local known = call('HGET', ids, id)
    local at, time = match(known or '', '^(%S+) (%d+)$')
    if at and now - time <= ONCE then return '= ' .. at end
end

seq = seq + 1
total = total + #push
local at = format('%.0f.%s', seq, tag)
local line = bare(at, now, total) .. ' ' .. push
local count
if last then
    count = call('RPUSH', list, line)
else
    count = call('RPUSH', list, '0', line)
end
call('PEXPIRE', list, MARK)
if id ~= '' and ONCE > 0 then
    call('HSET', ids, id, at .. ' ' .. format('%.0f', now))
    call('PEXPIRE', ids, ONCE)
    -- Of some ids at random, those that are too old go, and if there are too many, the oldest: less work than an order.
    if call('HLEN', ids) > 16 then
        local some, oldest, since = call('HRANDFIELD', ids, 8, 'WITHVALUES'), nil, nil
        for i = 1, #some, 2 do
            local name, value = some[i], some[i + 1]
            local time = tonumber(match(value, ' (%d+)$') or '0')
            if name ~= id then
                if now - time > ONCE then
                    call('HDEL', ids, name)
                elseif not since or time < since then
                    oldest, since = name, time
                end
            end
        end
        if oldest and call('HLEN', ids) > IDS then call('HDEL', ids, oldest) end
    end
end

local first = call('LRANGE', list, 0, 1)
local _, _, _, base = head(first[1])
local dropped, entry = 0, first[2]
while dropped < count - 2 do
    local _, _, time, sum = head(entry)
    if count - 1 - dropped <= ENTRIES and total - base <= BYTES and now - time <= AGE then break end
    dropped, base = dropped + 1, sum
    entry = call('LINDEX', list, dropped + 1)
end
if dropped > 0 then drop(dropped) end

local announced = redis.pcall(PUBLISH, channel,
    announcement .. at .. ' ' .. prev .. ' ' .. format('%.0f', now) .. ' ' .. push)
local sign = '+ '
if type(announced) == 'table' and announced.err then sign = '- ' end
return sign .. at .. ' ' .. prev .. ' ' .. format('%.0f', now)
";

/// Keys: the list, and what was seen if reading begins there. Arguments: where to begin, the position, the most entries and bytes. Returns the gap, the
/// position before the first entry, the end, whether there is more, and the entries.
const READ: &str = r"
local from, after = ARGV[1], ARGV[2]
local most, bytes = math.max(tonumber(ARGV[3]), 1), tonumber(ARGV[4])
if from == 'unread' then
    from, after = 'after', call('GET', KEYS[2]) or BEGINNING
end

local count = call('LLEN', list)
if count == 0 then
    local gap = ''
    if from == 'after' and after ~= BEGINNING then gap = 'reset' end
    return { gap, BEGINNING, BEGINNING, 0 }
end

-- The first index in low..high for which `holds`, which goes on to hold. high if none does.
local function search(low, high, holds)
    while low < high do
        local middle = math.floor((low + high) / 2)
        if holds(middle) then high = middle else low = middle + 1 end
    end
    return low
end
local function line(index) return call('LINDEX', list, index) end

-- What is too old is gone. Memory is freed if the server lets us: reading must not fail for want of memory.
local now = clock()
local function young(index)
    local _, _, time = head(line(index))
    return now - time <= AGE
end
local start = 0
if count > 1 and not young(1) then
    start = search(1, count, young) - 1
    if redis.pcall('LTRIM', list, start, -1).ok then
        count, start = count - start, 0
        local at, _, time, total = head(line(0))
        redis.pcall('LSET', list, 0, bare(at, time, total))
    end
end

local first, first_seq, _, base = head(line(start))
local last, last_seq, _, total = head(line(-1))
local function at_end(gap) return { gap, last, last, 0 } end
local index, gap = start, ''
if from == 'end' then return at_end('') end
if from == 'latest' then
    index = search(math.max(start, count - 1 - most), count - 1, function(index)
        local _, _, _, sum = head(line(index))
        return total - sum <= bytes
    end)
    if index == count - 1 and count - 1 > start then index = index - 1 end
else
    local seq = tonumber(match(after, '^(%d+)%.'))
    if seq < first_seq then
        gap = 'trimmed'
    elseif seq > last_seq then
        return at_end('reset')
    else
        index = start + seq - first_seq
        if head(line(index)) ~= after then return at_end('reset') end
    end
end

local before, _, _, sum = head(line(index))
local stop = math.min(index + most, count - 1)
local function beyond(index)
    local _, _, _, to = head(line(index))
    return to - sum > bytes
end
if stop > index and beyond(stop) then
    stop = math.max(search(index + 1, stop, beyond) - 1, index + 1)
end
local page = { gap, before, last, stop < count - 1 and 1 or 0 }
if stop > index then
    for _, entry in ipairs(call('LRANGE', list, index + 1, stop)) do page[#page + 1] = entry end
end
return page
";

/// Keys: the list, what was seen. Argument: the position. It is remembered as long as any entry after it.
const SEEN: &str = r"
local seen, at = KEYS[2], ARGV[1]
local first, last = call('LINDEX', list, 0), call('LINDEX', list, -1)
if not first then return 0 end
local _, first_seq = head(first)
local _, last_seq = head(last)
local seq = tonumber(match(at, '^(%d+)%.'))
if seq < first_seq or seq > last_seq or head(call('LINDEX', list, seq - first_seq)) ~= at then return 0 end
local known = tonumber(match(call('GET', seen) or '0.', '^(%d+)%.') or '0')
-- What was seen of a log that has lost its end does not count.
if seq > known or known > last_seq then call('SET', seen, at, 'PX', MARK + AGE) end
return 1
";
