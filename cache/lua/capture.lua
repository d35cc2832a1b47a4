-- Reads stamps before a load, and seeds those that are missing.   SPDX-License-Identifier: MPL-2.0
-- KEYS: stamps (in Redis Cluster: of one slot).  ARGV[1]: time to live of a new stamp in milliseconds.
-- Returns for each key its stamp as decimal text. A missing stamp is never taken for "not invalidated": it gets a
-- value that no entry can hold yet. So does one that is no stamp: whatever else lies there would never be served.
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local stamps = {}
for i, key in ipairs(KEYS) do
    local stamp = redis.pcall('GET', key)
    if type(stamp) ~= 'string' or #stamp > 16 or not string.find(stamp, '^[1-9]%d*$') then
        redis.call('SET', key, now, 'PX', ARGV[1])
        stamp = now
    else
        -- One that is in use does not run out: with the epoch's stamp every entry would be lost at once.
        redis.call('PEXPIRE', key, ARGV[1])
    end
    stamps[i] = stamp
end
return stamps
