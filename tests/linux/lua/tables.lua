-- tables, metatables, iteration, sorting, garbage collection
local list = {5, 2, 8, 1, 9, 3}
table.sort(list)
print(table.concat(list, " "))
table.sort(list, function(a, b) return a > b end)
print(table.concat(list, ","), #list, select("#", table.unpack(list)))
table.insert(list, 1, "first")
table.insert(list, "last")
print(table.remove(list, 1), table.remove(list), table.concat(list, " ", 2, 3))
print(table.unpack(table.move({1, 2, 3}, 1, 3, 2, {0})))
local packed = table.pack(1, nil, 3)
print(packed.n, packed[2], rawlen({1, 2}), rawequal(list, list), next({}))
local Vector = {}
Vector.__index = Vector
Vector.__add = function(a, b) return setmetatable({x = a.x + b.x, y = a.y + b.y}, Vector) end
Vector.__eq = function(a, b) return a.x == b.x and a.y == b.y end
Vector.__lt = function(a, b) return a.x < b.x end
Vector.__le = function(a, b) return a.x <= b.x end
Vector.__tostring = function(v) return ("(%d, %d)"):format(v.x, v.y) end
Vector.__len = function() return 2 end
Vector.__call = function(v, k) return v[k] end
Vector.__concat = function(a, b) return tostring(a) .. "~" .. tostring(b) end
Vector.__unm = function(v) return setmetatable({x = -v.x, y = -v.y}, Vector) end
Vector.__close = function(v) print("closing", tostring(v)) end
local function vector(x, y) return setmetatable({x = x, y = y}, Vector) end
local a, b = vector(1, 2), vector(3, 4)
print(tostring(a + b), a == vector(1, 2), a < b, a <= b, #a, a("y"), a .. b, tostring(-a))
do local held <close> = a end
local log = {}
local proxy = setmetatable({}, {
  __index = function(_, k) log[#log + 1] = "get " .. k return k .. "!" end,
  __newindex = function(t, k, v) log[#log + 1] = "set " .. k rawset(t, k, v) end,
})
proxy.one = proxy.two
print(proxy.one, proxy.one, table.concat(log, "; "))
local keys = {}
for k, v in pairs({10, 20, 30, x = 1, y = 2}) do keys[#keys + 1] = tostring(k) .. "=" .. v end
table.sort(keys)
print(table.concat(keys, " "))
local weak = setmetatable({}, {__mode = "k"})
for i = 1, 1000 do weak[{}] = i end
collectgarbage()
print(next(weak), collectgarbage("count") > 10)
local finalized = 0
for _ = 1, 100 do setmetatable({}, {__gc = function() finalized = finalized + 1 end}) end
collectgarbage()
print(finalized)
local big = {}
for i = 1, 50000 do big[i] = {i, tostring(i)} end
big = nil
collectgarbage()
collectgarbage("generational")
local text = {}
for i = 1, 20000 do text[i % 100 + 1] = ("x"):rep(i % 50) end
print(#table.concat(text))
