-- The script of wrk: one request again and again, as run-load.ts describes it in variables, and its figures as a line of JSON.
local count = tonumber(os.getenv("LOAD_FIRST"))
local path, body, values = os.getenv("LOAD_PATH"), os.getenv("LOAD_BODY"), {}
if body == "" then body = nil end
for value in string.gmatch(os.getenv("LOAD_VALUES") .. ",", "(.-),") do values[#values + 1] = value end
for name, value in string.gmatch(os.getenv("LOAD_HEADERS"), "([^:\n]+): ([^\n]*)") do wrk.headers[name] = value end
wrk.method, wrk.path, wrk.body = os.getenv("LOAD_METHOD"), path, body

-- The text of a request with each value, cut where the number belongs: to join the pieces costs least.
local pieces = {}
local function prepare()
  local number = tostring(count)
  for index, value in ipairs(values) do
    local target = string.gsub(string.gsub(path, "{value}", value), "{n}", number)
    local text = wrk.format(nil, target, nil, body and (string.gsub(body, "{n}", number)))
    local before, after = string.match(text, "^(.-)" .. number .. "(.*)$")
    pieces[index] = { before or text, after }
  end
end

-- Without this function wrk itself prepares the request once.
if string.find(path .. (body or ""), "{%a+}") then
  function request()
    if #pieces == 0 then prepare() end
    count = count + 1
    local piece = pieces[count % #values + 1]
    return piece[2] and piece[1] .. count .. piece[2] or piece[1]
  end
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  local format = '{"requests":%d,"seconds":%f,"failed":%d,"p50Us":%d,"p99Us":%d}\n'
  io.write(string.format(format, summary.requests, summary.duration / 1e6, failed, latency:percentile(50), latency:percentile(99)))
end
