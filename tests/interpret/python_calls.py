import functools
from functools import partial as bind


def power(base, exponent, *, scale=1):
    return base, exponent, scale


square = functools.partial(power, exponent=2)  # reveal square: partial
a = square(3)  # reveal a: (3, 2, 1)
b = square(3, scale=4)  # reveal b: (3, 2, 4)
c = square(3, exponent=5)  # reveal c: (3, 5, 1)
of_two = bind(power, 2)
d = of_two(7)  # reveal d: (2, 7, 1)
e = bind(of_two, 8)()  # reveal e: (2, 8, 1)

add = lambda x, y: x + y  # noqa: E731  # reveal add: def:lambda
f = add(1, 2)  # reveal f: 3
table = {"add": add, "first": lambda x, y: x}
g = table["first"](5, 6)  # reveal g: 5
h = (add if f == 3 else power)(10, 20)  # reveal h: 30


def rest(first, *others, **named):
    return first, others, named


i = rest(1)  # reveal i: (1, (), {})
j = rest(1, 2, 3, key=4)  # reveal j: (1, (2, 3), {'key': 4})
numbers = [1, 2]
k = rest(*numbers, *(3,))  # reveal k: (1, (2, 3), {})
m = rest(0, **{"a": 1}, b=2)  # reveal m: (0, (), {'a': 1, 'b': 2})
settings = dict(exponent=3)
n = power(2, **settings)  # reveal n: (2, 3, 1)

head, *tail = (1, 2, 3)  # reveal head: 1; tail: [2, 3]
*init, last = [1, 2, 3]  # reveal init: [1, 2]; last: 3
first, (second, third) = 1, (2, 3)  # reveal second: 2; third: 3
p, q = q, p = 1, 2  # reveal p: 2; q: 1
r = [*numbers, 3, *"ab".split()]  # reveal r: [1, 2, 3, 'ab']
s = [0, *numbers]  # reveal s: [0, 1, 2]
t = {**settings, "exponent": 4, "more": 5}  # reveal t: {'exponent': 4, 'more': 5}


def passes(*args, **kwargs):
    return power(*args, **kwargs)


u = passes(1, 2, scale=3)  # reveal u: (1, 2, 3)
v = passes(*[1], **{"exponent": 9})  # reveal v: (1, 9, 1)


def keyword_only(*, a, b=2):
    return a + b


w = keyword_only(a=1)  # reveal w: 3


def positional_only(a, /, b):
    return a, b


x = positional_only(1, b=2)  # reveal x: (1, 2)
y = list(map(lambda z: z + 1, (1, 2)))  # reveal y: list len=none
z = sorted(numbers, key=lambda n: -n)  # reveal z: unknown


def apply(function, value):
    return function(value)


aa = apply(lambda value: value * 3, 5)  # reveal aa: 15
bb = apply(str, 5)  # reveal bb: '5'
cc = apply(list, (1, 2))  # reveal cc: [1, 2]


def changes(sequence, value):
    sequence.append(value)


shared = [1]
changes(shared, 2)
dd = shared  # reveal dd: [1, 2]
alias = shared
alias += [3]
ee = shared  # reveal ee: [1, 2, 3]
pair = (1, 2)
pair += (3,)
ff = pair  # reveal ff: (1, 2, 3)?


def star_after(*args, last):
    return args, last


gg = star_after(1, 2, last=3)  # reveal gg: ((1, 2), 3)
spread = star_after(*range(3), last=1)  # reveal spread: (..., 1)
