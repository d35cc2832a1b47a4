-- Stores an entry if its lease is still held: a purge in between has removed it.   SPDX-License-Identifier: MPL-2.0
-- KEYS[1]: the entry.  ARGV[1]: the lease (20 bytes).  ARGV[2]: the entry.  ARGV[3]: its time to live in milliseconds.
-- Returns 1 when stored, 0 when not.
if redis.call('GETRANGE', KEYS[1], 0, 19) == ARGV[1] then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    return 1
end
return 0
