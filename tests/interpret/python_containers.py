from collections import OrderedDict, defaultdict, deque

a = {"x": 1}
a["y"] = 2  # reveal a: {'x': 1, 'y': 2}
b = a.get("x")  # reveal b: 1
c = a.get("z")  # reveal c: None?
d = a.get("z", 5)  # reveal d: 5
e = list(a)  # reveal e: list
f = "x" in a  # reveal f: True?
a.update(x=3, z=4)  # reveal a: {'x': 3, 'y': 2, 'z': 4}
g = a.pop("x")  # reveal g: 3?; a: {'y': 2, 'z': 4}?
h = a.get("x")  # reveal h: None?
i = {}
for key in ("p", "q"):
    i[key] = key + "!"
j = i  # reveal j: {'p': 'p!', 'q': 'q!'}
k = a.setdefault("new", 7)  # reveal k: 7; a["new"]: 7
del a["new"]
m = a.get("new", 0)  # reveal m: 0?

n = [3, 1, 2]
n.sort()
o = n[0]  # reveal o: 1?
n = [3, 1, 2]
n.reverse()
p = n[0]  # reveal p: 2?
n = [1, 2]
n[0] = 9
q = n[0]  # reveal q: 9?; n[1]: 2?
n = [1, 2]
n.insert(0, 5)
r = n[0]  # reveal r: 5?
n = [1, 2]
s = n.pop()  # reveal s: 2?; n: [1]?
n = [1, 2]
n.remove(1)
t = n[0]  # reveal t: 2?
n = [1, 2]
n.clear()  # reveal n: []
n.extend((3, 4))  # reveal n: [3, 4]
n += [5]  # reveal n: [3, 4, 5]
u = n.copy()
u.append(6)  # reveal n: [3, 4, 5]; u: [3, 4, 5, 6]
v = n * 2  # reveal v: [3, 4, 5, 3, 4, 5]?
del n[0]
w = n[0]  # reveal w: 4?
n = [1, 2]
n[:] = [7]
x = n[0]  # reveal x: 7?; n: [7]?
y = OrderedDict([("a", 1), ("b", 2)])  # reveal y["b"]: 2
z = deque([1, 2])
z.appendleft(0)
aa = z[0]  # reveal aa: 0?
bb = defaultdict(list)
bb["k"].append(1)
cc = bb["k"]  # reveal cc: [1]?
dd = {1: "int", True: "bool"}  # reveal dd: {1: 'bool'}
ee = dict(a=1, **{"b": 2})  # reveal ee: {'a': 1, 'b': 2}
ff = {"a": 1} | {"b": 2}  # reveal ff: {'a': 1, 'b': 2}?
gg = [[0] * 2 for _ in range(2)]  # reveal gg: [[0, 0], [0, 0]]?
hh = (1, [2, 3])
hh[1].append(4)
ii = hh  # reveal ii: (1, [2, 3, 4])
row = [0]
grid = [row, row]
grid[0].append(1)
jj = grid[1]  # reveal jj: [0, 1]
kk = list(n)
ll = tuple([1, 2])  # reveal ll: (1, 2)
mm = list(reversed((1, 2)))  # reveal mm: [2, 1]
nn = sorted([2, 1])[0]  # reveal nn: 1?
oo = max(1, 2)  # reveal oo: 2?
a.clear()
pp = a.get("y", "gone")  # reveal pp: 'gone'?
qq = {"k": 1}
qq |= {"k": 2}
rr = qq["k"]  # reveal rr: 2?
ss = {"k": 1}
ss.popitem()
tt = ss.get("k", 0)  # reveal tt: 0?
