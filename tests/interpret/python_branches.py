import os

flag = bool(os.environ.get("SOME_FLAG"))
mode = "fast"

if mode == "fast":
    a = 1  # reveal a: 1
else:
    a = 2  # reveal a: unreached
b = a  # reveal b: 1

if flag:
    c = 1
else:
    c = 2
d = c  # reveal d: int

if flag:
    e = 3
else:
    e = 3
f = e  # reveal e: 3

if flag:
    g = [1]
elif mode == "slow":
    g = [2]  # reveal g: unreached
else:
    g = [1]
h = g  # reveal h: list len=none

if not flag or flag:
    k = "x"
else:
    k = "x"
k = k + "y"  # reveal k: 'xy'

x = 1
if flag:
    x = "one"
y = x  # reveal y: unknown

n = None
if n is None:
    n = 5
m = n  # reveal m: 5

z = 1 if mode == "fast" else 2  # reveal z: 1
w = 1 if flag else 2  # reveal w: int
v = 4 if flag else 4  # reveal v: 4
u = None or 7  # reveal u: 7
t = 0 and 7  # reveal t: 0
s = "" or "default"  # reveal s: 'default'
r = flag and 0  # reveal r: unknown

if 1 < 2 < 3:
    q = "chain"
else:
    q = "broken"
p = q  # reveal p: unknown

if "fast" in ("fast", "slow"):
    inside = True  # reveal inside: True
else:
    inside = False  # reveal inside: unreached
if mode != "fast":
    raise SystemExit(1)
after = 1  # reveal after: 1


def early(size):
    if size is None:
        return 0
    if size == 1:
        return 10  # reveal size: 1
    return 20  # reveal size: 2


one = early(1)  # reveal one: 10
two = early(2)  # reveal two: 20
nothing = early(None)  # reveal nothing: 0


def either(size):
    if size > 3:
        return 1
    return 2


def falls_off(size):
    if size > 3:
        size = 9


third = either(len(os.environ))  # reveal third: int
fourth = falls_off(4)  # reveal fourth: None


def by_default(size=4, *, deep=False):
    return size if deep else -size  # reveal size: 4


fifth = by_default()  # reveal fifth: -4
sixth = by_default(deep=True)  # reveal sixth: 4
