import os

numbers = [1, 2, 3]
doubled = [n * 2 for n in numbers]  # reveal doubled: [2, 4, 6]
filtered = [n for n in numbers if n > 1]  # reveal filtered: list len=none
squares = {n: n * n for n in (1, 2)}  # reveal squares: {1: 1, 2: 4}
pairs = [(a, b) for a in (1, 2) for b in (3, 4)]  # reveal pairs: list len=none
generator = (n + 1 for n in numbers)  # reveal list(generator): [2, 3, 4]
strings = ["a" + s for s in ("x", "y")]  # reveal strings: ['ax', 'ay']
unknown = [int(s) for s in os.environ.values() if s.isdigit()]  # reveal unknown: list len=none

n = 7
shadow = [n for n in (1, 2)]  # reveal n: 7; shadow: [1, 2]
nested = [[i * j for j in (1, 2)] for i in (1, 2)]  # reveal nested: [[1, 2], [2, 4]]?
keys = [key for key in {"a": 1, "b": 2}]  # reveal keys: ['a', 'b']?
items = [value for _, value in {"a": 1, "b": 2}.items()]  # reveal items: [1, 2]

last = [(kept := k) for k in (1, 2)]  # reveal kept: 2
chosen = {k: v for k, v in (("a", 1), ("b", 2)) if v > 1}  # reveal chosen: dict len=none
letters = {s for s in ("a", "a")}  # reveal letters: len=none
modes = {k % 2 for k in (1, 3)}  # reveal modes: len=none
remainder = list({k - k for k in (1, 3)})  # reveal remainder: list len=none

xs = [x for x in (1, 2)]
ys = [x for x in xs]  # reveal ys: [1, 2]
xs.append(3)  # reveal ys: [1, 2]; xs: [1, 2, 3]
total = sum(v for v in (1, 2))  # reveal total: unknown
anything = any(v > 1 for v in (1, 2))  # reveal anything: unknown


def scoped():
    i = "outer"
    made = [i for i in (1, 2)]
    return i, made


kept_outside = scoped()  # reveal kept_outside: ('outer', [1, 2])
calls = [f(2) for f in (lambda x: x + 1, lambda x: x * 5)]  # reveal calls: [3, 10]
