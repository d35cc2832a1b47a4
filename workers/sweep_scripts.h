/* sweep_scripts.h - what the queue of sweeps does in Redis.   SPDX-License-Identifier: MPL-2.0
 * KEYS[1] is the set of patterns, KEYS[2] the lease. Sent with EVAL: they are short, and rare. */
#pragma once

/* ARGV: the most patterns that may wait, then patterns. Returns how many wait, or -1. */
static const char fw_sweep_add_script[] =
    "local time = redis.call('TIME') "
    "local now = string.format('%.0f', time[1] * 1000000 + time[2]) "
    "local count = redis.call('ZCARD', KEYS[1]) "
    "for i = 2, #ARGV do "
    "  if not redis.call('ZSCORE', KEYS[1], ARGV[i]) then count = count + 1 end "
    "end "
    "if count > tonumber(ARGV[1]) then return -1 end "
    "for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now, ARGV[i]) end "
    "return redis.call('ZCARD', KEYS[1])";

/* ARGV: a worker, its lease in milliseconds, how many patterns it wants. Returns how many wait,
 * whether this worker may sweep, and patterns and scores by turns. */
static const char fw_sweep_claim_script[] =
    "local count = redis.call('ZCARD', KEYS[1]) "
    "local owner = redis.call('GET', KEYS[2]) "
    "if owner and owner ~= ARGV[1] then return {count, 0, {}} end "
    "if count == 0 then "
    "  if owner then redis.call('UNLINK', KEYS[2]) end "
    "  return {0, 1, {}} "
    "end "
    "redis.pcall('SET', KEYS[2], ARGV[1], 'PX', ARGV[2]) "
    "return {count, 1, redis.call('ZRANGE', KEYS[1], 0, ARGV[3] - 1, 'WITHSCORES')}";

/* ARGV: a worker, its lease in milliseconds, 0 = give it up. Returns 1 when it was still held. */
static const char fw_sweep_renew_script[] =
    "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end "
    "if ARGV[2] == '0' then redis.call('UNLINK', KEYS[2]) "
    "else redis.call('PEXPIRE', KEYS[2], ARGV[2]) end "
    "return 1";

/* ARGV: patterns that were swept, and their scores, by turns. Those that were requested again since
 * stay. Returns how many wait. */
static const char fw_sweep_done_script[] =
    "for i = 1, #ARGV, 2 do "
    "  local score = redis.call('ZSCORE', KEYS[1], ARGV[i]) "
    "  if score and tonumber(score) == tonumber(ARGV[i + 1]) then "
    "    redis.call('ZREM', KEYS[1], ARGV[i]) "
    "  end "
    "end "
    "return redis.call('ZCARD', KEYS[1])";
