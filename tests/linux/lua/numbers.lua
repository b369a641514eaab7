-- integers, floats, the math library, bits
print(7 // 2, -7 // 2, 7 % 3, -7 % 3, 7 % -3, 7.5 // 2, -7.5 % 2, 2 ^ 10, 7 / 2)
print(math.maxinteger, math.mininteger, math.maxinteger + 1 == math.mininteger, math.mininteger // -1)
print(1 / 0, -1 / 0, 0 / 0 ~= 0 / 0, math.huge // 1, 5 % math.huge, -5 % math.huge)
print(3 & 5, 3 | 5, 3 ~ 5, ~0, 1 << 63, 1 << 64, -1 >> 1, 2.0 | 1)
print(math.type(1), math.type(1.0), math.type("1"), 1 == 1.0, math.tointeger(3.0), math.tointeger(3.5))
print(math.floor(-3.5), math.ceil(-3.5), math.fmod(-7, 3), math.modf(3.7), math.abs(math.mininteger))
print(math.max(1, 2.5, -1), math.min(3, 1, 2), math.ult(1, -1), math.sqrt(2), math.exp(1), math.log(8, 2), math.log(100, 10))
for _, name in ipairs({"sin", "cos", "tan", "asin", "acos", "atan", "log", "exp"}) do
  io.write(name)
  for _, x in ipairs({0, 0.5, -0.25, 1}) do io.write((" %.15g"):format(math[name](x))) end
  print()
end
print(math.atan(1, -1), math.pi, 1e15, 1e16, 123456789012345678, 0.1, 1 / 3, 100 // 1e-3)
print(0x7fffffffffffffff, 0xffffffffffffffff, 0x1p-1074, 5e-324, 1.7976931348623157e308, 2 ^ 53 + 1)
print(pcall(function() return 1 // 0 end), pcall(function() return 1 % 0 end), pcall(function() return 1.5 | 1 end))
math.randomseed(42, 7)
print(math.random(1000), math.random(1000), math.random(0), math.random(5, 6), math.random() < 1)
local sum, product = 0, 1.0
for i = 1, 100000 do sum = sum + i * i % 7 end
for i = 1, 170 do product = product * i end
print(sum, product)
for i = 3, 1, -1 do io.write(i, " ") end
for x = 0, 1, 0.25 do io.write(x, " ") end
print()
local function sieve(n)
  local composite, count = {}, 0
  for i = 2, n do
    if not composite[i] then
      count = count + 1
      for j = i * i, n, i do composite[j] = true end
    end
  end
  return count
end
print(sieve(20000))
local function fibonacci(n) return n < 2 and n or fibonacci(n - 1) + fibonacci(n - 2) end
print(fibonacci(20))
