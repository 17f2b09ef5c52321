import json as serialise
import os.path as paths
import typing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import OrderedDict

try:
    import no_such_package
except ImportError:
    no_such_package = None

try:
    import math
except ImportError:
    math = None

a = serialise  # reveal a: json
b = serialise.dumps  # reveal b: json.dumps
c = paths.join  # reveal c: os.path.join
d = typing.TYPE_CHECKING  # reveal d: typing.TYPE_CHECKING

x = 1
y = x  # reveal y: 1
x = "two"
z = (x, y)  # reveal z: ('two', 1)
x, y = y, x  # reveal x: 1; y: 'two'
del z
i = j = k = [1]
i.append(2)  # reveal k: [1, 2]
j = [3]  # reveal i: [1, 2]; j: [3]
number: int = 4  # reveal number: 4
text: str
text = "t"  # reveal text: 't'


def f():
    return 1


e = f()  # reveal e: 1?


def f():
    return 2


g = f()  # reveal g: 2?
f = lambda: 3  # noqa: E731
h = f()  # reveal h: 3

len = 5  # reveal len: 5
m = len  # reveal m: 5
n = __name__  # reveal n: '__main__'
o = 1_000 + 0x10  # reveal o: 1016
p = -3  # reveal p: -3
q = 7 // 2  # reveal q: 3
r = 1 / 4  # reveal r: 0.25
s = "a" "b"  # reveal s: 'ab'
t = not []  # reveal t: True?
u = 2**3  # reveal u: 8?
v = 1 == 1.0  # reveal v: True
w = 1 is True  # reveal w: False?
aa = True + 1  # reveal aa: 2?
bb = f"{p}"  # reveal bb: '-3'
cc = 1e3  # reveal cc: 1000.0
dd = ...  # reveal dd: ...
ee = 5 % 3  # reveal ee: 2?
ff = "x" * 3  # reveal ff: 'xxx'?
gg = (1, 2) + (3,)  # reveal gg: (1, 2, 3)
hh = [1] + [2]  # reveal hh: [1, 2]
ii = [0] * 3  # reveal ii: [0, 0, 0]?
jj = (1, 2, 3)[1:]  # reveal jj: (2, 3)
kk = [1, 2, 3][-1]  # reveal kk: 3
ll = {"a": {"b": 1}}["a"]["b"]  # reveal ll: 1
mm = +5  # reveal mm: 5?
nn = "abc"[0]  # reveal nn: 'a'?
oo = [4, 5, 6][::-1]  # reveal oo[0]: 6?; oo: [6, 5, 4]?
pp = 10 * "ab" == "x"  # reveal pp: False?
qq = None == 0  # reveal qq: False


def twice_defined():
    return "first"


rr = twice_defined()  # reveal rr: 'first'?


def twice_defined():
    return "second"


ss = twice_defined()  # reveal ss: 'second'
