r"""What is done inside of Redis, as Lua: a script runs as one atomic step, and nothing else runs meanwhile.

Beside the strings, which hold nothing but the bytes of objects, lie these keys of ours. Each begins with NUL, which
is in no key of an object, so that no object can ever have such a name:

- `records`: a hash, key of an object → its record, "SIZE SUM\nCREATED\nJSON".
- `writing:ID`: a body on its way; renamed to its key when it is whole. Expires when no more of it comes.
- `lease:KEY` → VERSION: that version of the object is being read. Expires when nobody reads on.
- `version:VERSION`: bytes that were replaced or deleted while they were being read. Expires likewise.

Redis keeps neither versions nor times of its strings, and any program may replace them. So a record names size and
SHA-1 of the bytes that it is about, and is believed only when they are those of the string: that costs Redis a pass
over the bytes, and there is no cheaper way to be sure. It is also why an object is looked at in one script.

Each script repeats the name that its caller has given to the call, so that the answer to another one is never taken
for it: one bit of a length that is read wrongly, and a connection gives every answer to the request after it.

A script is not rolled back when a command in it fails. Out of memory is what can happen, and the first command that
may need memory tells it; so that one comes before anything of the old object is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

OWN: Final = b"\0objectstore:"  # as in the Lua below
BLOCK: Final = 512 * 1024  # bytes sent or fetched at once
ANY: Final = b"*"  # whatever the state of an object
_CALLED: Final = "local CALLED = table.remove(ARGV, 1)\n"


@dataclass(frozen=True, slots=True)
class Script:
    """`text` gives a result, of which `is_result` tells whether it may be one."""

    text: str
    is_result: Callable[[Any], bool]

    @property
    def source(self) -> str:
        """What Redis runs: it is told a name in front of the arguments, and answers with that name and the result."""
        return f"{_CALLED}local function result()\n{self.text}\nend\nreturn {{CALLED, result()}}"


def _bytes_or_none(told: Any) -> bool:
    return told is None or isinstance(told, bytes)


def _state_and_bytes(told: Any) -> bool:
    return isinstance(told, list) and len(told) == 2 and isinstance(told[0], bytes) and _bytes_or_none(told[1])


def _words(told: Any) -> bool:
    return isinstance(told, list) and bool(told) and all(isinstance(word, bytes) for word in told)


def _two_words(told: Any) -> bool:
    return _words(told) and len(told) == 2


def _outcome(told: Any) -> bool:
    return _words(told) and (told[0] in {b"changed", b"lost", b"absent"} or len(told) == 2)


def _deleted(told: Any) -> bool:
    return _words(told) and told[0] in {b"done", b"changed", b"absent"}


def _number(told: Any) -> bool:
    return isinstance(told, int)


_COMMON: Final = r"""
local OWN = '\0objectstore:'
local RECORDS = OWN .. 'records'
local PIECE = 1048576
local KEPT = 120000  -- milliseconds that a version is kept for a reader who is not heard of

local function kind(key)
  return redis.call('TYPE', key).ok
end

local function summary(key)
  local size = redis.call('STRLEN', key)
  local sums = {}
  for at = 0, size - 1, PIECE do
    sums[#sums + 1] = redis.sha1hex(redis.call('GETRANGE', key, at, at + PIECE - 1))
  end
  return size .. ' ' .. redis.sha1hex(table.concat(sums)) .. '\n'
end

-- Nothing when there is no object, the record of one that we wrote, the summary of one that another program wrote.
local function state(key)
  if kind(key) ~= 'string' then return '' end
  local found = summary(key)
  local record = redis.call('HGET', RECORDS, key)
  if record and string.sub(record, 1, #found) == found then return record end
  return found
end

local function lease(key, version)
  -- A replica or a full server cannot note it: then every block is compared instead.
  redis.pcall('SET', OWN .. 'lease:' .. key, version, 'PX', KEPT)
end

-- The string is about to go: those who read it go on with it under another name.
local function release(key)
  local version = redis.call('GET', OWN .. 'lease:' .. key)
  if version then
    redis.call('RENAME', key, OWN .. 'version:' .. version)
    redis.call('PEXPIRE', OWN .. 'version:' .. version, KEPT)
    redis.call('DEL', OWN .. 'lease:' .. key)
  end
end

local function refusal(key, expected)
  local there = kind(key)
  if there ~= 'none' and there ~= 'string' then return {'kind', there} end
  if expected ~= '*' and state(key) ~= expected then return {'changed'} end
end

local function place(key, writing, created, told)
  local old = kind(key) == 'string' and redis.call('HGET', RECORDS, key)
  if old then created = string.match(old, '^[^\n]*\n([^\n]*)\n') or created end
  local record = summary(writing) .. created .. '\n' .. told
  redis.call('HSET', RECORDS, key, record)
  if kind(key) == 'string' then release(key) end
  redis.call('RENAME', writing, key)
  redis.call('PERSIST', key)
  return {'done', record}
end
"""

LOOK: Final = Script(
    _COMMON
    + r"""
-- key; the size up to which the bytes are given too (those above are leased to a reader), -1 for none
local key, limit = KEYS[1], tonumber(ARGV[1])
local found = state(key)
if found == '' then
  redis.pcall('HDEL', RECORDS, key)
  return {found, false}
end
local size = tonumber(string.match(found, '^%d+'))
if size <= limit then return {found, redis.call('GET', key)} end
if limit >= 0 then lease(key, redis.sha1hex(found)) end
return {found, false}
""",
    _state_and_bytes,
)

READ: Final = Script(
    _COMMON
    + r"""
-- key; the state in which it was looked at, the first byte, how many, whether they are the last: false when that
-- version is gone
local key, expected, at, count, last = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1'
local version = redis.sha1hex(expected)
local from = OWN .. 'version:' .. version
if redis.call('EXISTS', from) == 1 then
  local found = last and summary(from)
  if found and string.sub(expected, 1, #found) ~= found then return false end
  redis.pcall('PEXPIRE', from, KEPT)
else
  from = key
  -- Our own writes end the lease; those of other programs show in the end, when all has been read.
  if (last or redis.call('GET', OWN .. 'lease:' .. key) ~= version) and state(key) ~= expected then return false end
  lease(key, version)
end
return redis.call('GETRANGE', from, at, at + count - 1)
""",
    _bytes_or_none,
)

EXTEND: Final = Script(
    _COMMON
    + r"""
-- writing; how much of the body is there already, what comes next, milliseconds to keep it
if redis.call('STRLEN', KEYS[1]) ~= tonumber(ARGV[1]) then return 0 end
redis.call('APPEND', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
""",
    _number,
)

COMMIT: Final = Script(
    _COMMON
    + r"""
-- key, writing; the state expected, the time, the rest of the record, the size, and all the bytes if none were sent
local refused = refusal(KEYS[1], ARGV[1])
if refused then return refused end
if ARGV[5] then redis.call('SET', KEYS[2], ARGV[5], 'PX', KEPT) end
if redis.call('STRLEN', KEYS[2]) ~= tonumber(ARGV[4]) then return {'lost'} end
return place(KEYS[1], KEYS[2], ARGV[2], ARGV[3])
""",
    _outcome,
)

COPY: Final = Script(
    _COMMON
    + r"""
-- target, writing, source; the state expected of the target, the time, the rest of the record, the source's state
if state(KEYS[3]) ~= ARGV[4] then return {'changed'} end
local refused = refusal(KEYS[1], ARGV[1])
if refused then return refused end
redis.call('COPY', KEYS[3], KEYS[2], 'REPLACE')
return place(KEYS[1], KEYS[2], ARGV[2], ARGV[3])
""",
    _outcome,
)

DELETE: Final = Script(
    _COMMON
    + r"""
-- key; the state expected
local key = KEYS[1]
if kind(key) ~= 'string' then return {'absent'} end
if ARGV[1] ~= '*' and state(key) ~= ARGV[1] then return {'changed'} end
release(key)
redis.call('UNLINK', key)
redis.call('HDEL', RECORDS, key)
return {'done'}
""",
    _deleted,
)

NAMES: Final = Script(
    r"""
-- none; the cursor, a pattern, how many to look at, what every name begins with and is told without: the cursor to go
-- on with, and names of strings with NUL between them. (Taken as one text: to tell each apart costs a client ten times
-- what it costs Redis.) A name with NUL in it is none of an object.
local found = redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3], 'TYPE', 'string')
local names = {}
for _, name in ipairs(found[2]) do
  local key = string.sub(name, #ARGV[4] + 1)
  if not string.find(key, '\0', 1, true) then names[#names + 1] = key end
end
return {found[1], table.concat(names, '\0')}
""",
    _two_words,
)

CHECK: Final = Script("-- a name to write under\nredis.call('SET', KEYS[1], '', 'PX', 1)\nreturn 1\n", _number)
