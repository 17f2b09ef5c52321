import os

if (n := 3) > 2:
    a = n  # reveal a: 3
b = n  # reveal b: 3

values = [y := 1, y + 1]  # reveal values: [1, 2]; y: 1
c = (z := "z") + "!"  # reveal c: 'z!'; z: 'z'

while (line := os.environ.get("NO_SUCH")) is not None:
    d = line
e = line  # reveal e: unknown

if (found := None) is None:
    f = 1  # reveal f: 1; found: None
else:
    f = 2  # reveal f: unreached


def call(value):
    return value


g = call(w := 5) + w  # reveal g: 10
h = (p := 1, q := p + 1)  # reveal h: (1, 2); q: 2


def local():
    if (k := 2) and (m := k + 1):
        return k, m  # reveal m: 3
    return None


i = local()  # reveal i: (2, 3)
flag = bool(os.environ.get("SOME_FLAG"))
r = 1
j = flag and (r := 2)  # reveal r: 1?
s = 1
k = (s := 2) if flag else 3  # reveal s: 1?
