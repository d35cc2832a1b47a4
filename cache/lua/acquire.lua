-- Takes the lease of one entry: the right to fill it.   SPDX-License-Identifier: MPL-2.0
-- KEYS[1]: the entry.  ARGV[1]: the header (20 bytes) that the reader saw there, '' for none.  ARGV[2]: the lease
-- (20 bytes, unique per attempt).  ARGV[3]: its time to live in milliseconds.
-- Returns {1, now} when the lease is held, {0, now} when somebody else holds the entry; now is Redis time in
-- microseconds as decimal text, the start_us of the entry to be stored.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local header = redis.call('GETRANGE', KEYS[1], 0, 19)
if header == '' or header == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return {1, now}
end
return {0, now}
