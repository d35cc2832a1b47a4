-- Invalidates tags: gives every stamp a new, strictly greater value.   SPDX-License-Identifier: MPL-2.0
-- KEYS: stamps (in Redis Cluster: of one slot).  ARGV[1]: their time to live in milliseconds, at least twice the
-- longest of an entry.  Returns for each key its stamp as decimal text, or false when Redis had no memory for it:
-- then the stamp was removed, which invalidates as well.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local stamps = {}
for i, key in ipairs(KEYS) do
    local stamp = now
    local old = redis.pcall('GET', key)
    -- A value of another type, or that is no number below 2^53 (the year 2255), is not ours: it is replaced.
    if type(old) == 'string' then
        old = tonumber(old)
        if old and old >= stamp and old < 9007199254740992 then stamp = old + 1 end
    end
    -- Not tostring(), which writes 1.79e+15.
    stamps[i] = string.format('%.0f', stamp)
    local set = redis.pcall('SET', key, stamps[i], 'PX', ARGV[1])
    if set.err then
        if not string.find(set.err, 'OOM', 1, true) then return set end
        redis.call('UNLINK', key)
        stamps[i] = false
    end
end
return stamps
