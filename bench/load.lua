-- What wrk sends. Arguments: method, path before the key's number, number of the first key, how many keys,
-- bytes of a body, mode, token.
--   cycle     keys in no order, again and again; the requests are made before the clock starts
--   sequence  each key once, in order, as many as the time allows
--   all       each key once, then wrk ends, before its time is over
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long sec; long nsec; } bench_time;
  int clock_gettime(int clock, bench_time *time);
]]

local requests, mode, first, count, size, pool
local head, tail
local issued, answered, refused, began = -1, 0, 0, nil
local STRIDE = 61

local function now()
  local time = ffi.new("bench_time")
  ffi.C.clock_gettime(1, time)
  return tonumber(time.sec) + tonumber(time.nsec) / 1e9
end

local function report(fields)
  local parts = {}
  for name, value in pairs(fields) do
    parts[#parts + 1] = string.format('"%s": %.6f', name, value)
  end
  io.write("RESULT {" .. table.concat(parts, ", ") .. "}\n")
  io.flush()
end

local function key(number)
  return string.format("%09d", number)
end

function init(args)
  local method, path, token = args[1], args[2], args[7]
  first, count, size, mode = tonumber(args[3]), tonumber(args[4]), tonumber(args[5]), args[6]
  local headers = {}
  if token ~= nil and token ~= "" then headers["Authorization"] = "Bearer " .. token end
  local template = wrk.format(method, path .. "@", headers)
  local at = template:find("@", 1, true)
  head, tail = template:sub(1, at - 1), template:sub(at + 1)
  if method == "PUT" then tail = tail:sub(1, -3) .. "Content-Length: " .. size .. "\r\n\r\n" end
  if size > 0 then
    local source = io.open("/dev/urandom", "rb")
    pool = source:read(size + STRIDE * 1024)
    source:close()
  end
  if mode == "cycle" then
    requests = {}
    for number = 1, count do requests[number] = head .. key(first + number - 1) .. tail end
  end
  if mode == "all" then
    -- What is sent when every key has been: connections cannot be idle.
    local spare = wrk.format("GET", args[8], headers)
    requests = { spare }
    response = function(status)
      answered = answered + 1
      if status >= 300 then refused = refused + 1 end
      if answered == count then
        report({ requests = answered, seconds = now() - began, refused = refused, broken = 0 })
        os.exit(0)
      end
    end
  end
end

-- wrk asks for one before it starts, to look at, and does not send it: hence the count from -1.
function request()
  if mode == "cycle" then return requests[math.random(count)] end
  if mode == "all" then
    if issued == 0 and began == nil then began = now() end
    if issued == count then return requests[1] end
  end
  issued = issued + 1
  local text = head .. key(first + math.max(issued, 1) - 1) .. tail
  if size > 0 then
    local offset = (issued % 1024) * STRIDE
    text = text .. pool:sub(offset + 1, offset + size)
  end
  return text
end

function done(summary, latency)
  report({
    requests = summary.requests,
    seconds = summary.duration / 1e6,
    refused = summary.errors.status,
    broken = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    p50 = latency:percentile(50) / 1e6,
    p99 = latency:percentile(99) / 1e6,
  })
end
