-- Calls, a table sorted, strings formatted and joined.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
local t = {}
for i = 1, 200000 do t[i] = (i * 7919) % 100003 end
table.sort(t)
local s = {}
for i = 1, 20000 do s[#s + 1] = string.format("%d:%s", t[i], tostring(i)) end
print(fib(25), t[1], t[#t], #table.concat(s, ","))
