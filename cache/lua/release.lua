-- Gives a lease back without storing: the load failed.   SPDX-License-Identifier: MPL-2.0
-- KEYS[1]: the entry.  ARGV[1]: the lease (20 bytes).  Returns 1 when it was still held, 0 when not.
if redis.call('GETRANGE', KEYS[1], 0, 19) == ARGV[1] then
    redis.call('UNLINK', KEYS[1])
    return 1
end
return 0
