import sys

a = "x" + "y"  # reveal a: 'xy'
b = f"{a}z"  # reveal b: 'xyz'?
c = "a".upper()  # reveal c: 'A'?
d = "%s" % a  # reveal d: 'xy'?
e = "a,b".split(",")  # reveal e: ['a', 'b']?
f = b"bytes"  # reveal f: b'bytes'
g = r"\n"  # reveal g: '\\n'
h = "a" * 2  # reveal h: 'aa'?
i = a == "xy"  # reveal i: True
j = a != "xy"  # reveal j: False
k = "x" in a  # reveal k: True?
m = a is a  # reveal m: True?
n = "x" < "y"  # reveal n: True?
o = len(a)  # reveal o: 2?
p = str(5)  # reveal p: '5'?
q = int("5")  # reveal q: 5?
r = float(3)  # reveal r: 3.0?
s = bool(0)  # reveal s: False?
t = sys.argv[0]  # reveal t: no-meaning
u = (1).bit_length()  # reveal u: 1?
v = 3 if a else 4  # reveal v: 3
w = not a  # reveal w: False
x = a and ""  # reveal x: ''
y = 2.0 == 2  # reveal y: True
z = 0.1 + 0.2  # reveal z: 0.30000000000000004
aa = 10**20 + 1  # reveal aa: 100000000000000000001?
bb = 7 / 2 * 2  # reveal bb: 7.0
cc = -7 // 2  # reveal cc: -4
dd = 1 if True else 2  # reveal dd: 1
ee = 1 > 2 or 3  # reveal ee: 3
ff = 1_0.5  # reveal ff: 10.5
gg = ~5  # reveal gg: -6?
hh = -True  # reveal hh: -1?
ii = - -3  # reveal ii: 3
jj = 3 - -3  # reveal jj: 6
kk = True == 1  # reveal kk: True
mm = 5 is not None  # reveal mm: True
nn = [] == []  # reveal nn: True?
oo = (1,) == (1,)  # reveal oo: True?
pp = 1 if [] else 2  # reveal pp: 2?
qq = 1 if {} else 2  # reveal qq: 2?
rr = 1 if "" else 2  # reveal rr: 2
ss = 1 if 0.0 else 2  # reveal ss: 2
tt = "é" + "\x41"  # reveal tt: 'éA'
uu = float("nan") == float("nan")  # reveal uu: False?
vv = 1e400 - 1e400  # reveal vv: unknown
ww = None is None  # reveal ww: True
xx = 1 in [1, 2]  # reveal xx: True?
yy = 3 not in (1, 2)  # reveal yy: True
zz = 1 if () else 2  # reveal zz: 2
