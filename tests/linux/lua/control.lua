-- closures, coroutines, errors, goto, varargs, loading code
local function counter()
  local n = 0
  return function() n = n + 1 return n end
end
local first, second = counter(), counter()
print(first(), first(), second())
local function generate(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i, i * i) end end) end
for i, square in generate(4) do io.write(i, ":", square, " ") end
print()
local co = coroutine.create(function(a, b)
  local c = coroutine.yield(a + b)
  local d, e = coroutine.yield(c * 2)
  error({code = d + e})
end)
print(coroutine.resume(co, 1, 2))
print(coroutine.resume(co, 10), coroutine.status(co))
local ok, failure = coroutine.resume(co, 3, 4)
print(ok, failure.code, coroutine.status(co), coroutine.resume(co))
print(coroutine.isyieldable(), coroutine.running())
local function permutations(a, n)
  n = n or #a
  if n <= 1 then coroutine.yield(table.concat(a)) end
  for i = 1, n do
    a[n], a[i] = a[i], a[n]
    permutations(a, n - 1)
    a[n], a[i] = a[i], a[n]
  end
end
for p in coroutine.wrap(function() permutations({"a", "b", "c"}) end) do io.write(p, " ") end
print()
print(pcall(error, "plain", 0), pcall(error), select(2, pcall(error, setmetatable({}, {__tostring = function() return "E" end}))))
print(xpcall(function() local x = nil; return x.field end, function(message) return "handled: " .. message end))
print(select(2, pcall(function() return 1 + {} end)), select(2, pcall(function() return #5 end)))
print(select(2, pcall(function() undefined_function() end)))
local function deep(n) return n == 0 and 0 or 1 + deep(n - 1) end
print(deep(10000), select(2, pcall(function() local function f() return 1 + f() end return f() end)):match("stack overflow"))
local function tail(n) if n == 0 then return "done" end return tail(n - 1) end
print(tail(1000000))
for i = 1, 3 do
  for j = 1, 3 do
    if j == 2 then goto continue end
    io.write(i, j, " ")
    ::continue::
  end
end
print()
local function count(...) return select("#", ...), ... end
print(count(nil, nil), (count(1, 2, 3)), select(-1, 1, 2, 3))
print(load("return 1 + ...")(41), load("syntax error here"), load(function() return nil end))
print(pcall(load, "x =", "chunk"), load("return a", "c", "t", {a = "environment"})())
local dumped = string.dump(function(x) return x * 2 end)
print(load(dumped, "b", "b")(21), dumped:sub(1, 4) == "\27Lua")
local t <const> = 5
print(t, debug.getinfo(1, "l").currentline, debug.getinfo(print).what, debug.traceback("trace", 1):match("^trace\n"))
repeat local n = (n or 0) + 1 until n == 1
while true do break end
print(require("string") == string, package.loaded.math == math, type(package.searchers))
print(os.exit == nil, arg[0]:match("[^/]*$"), #arg, arg[1], arg[2])
