import dataclasses
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass
class Config:
    size: int
    name: str = "default"
    layers: list = field(default_factory=list)
    deep: bool = field(default=True)


@dataclass
class Larger(Config):
    extra: int = 5


@dataclasses.dataclass(frozen=True)
class Derived:
    base: int
    total: int = 0

    def __post_init__(self):
        object.__setattr__(self, "total", self.base + 1)


class Point(NamedTuple):
    x: int
    y: int = 2

    def sum(self):
        return self.x + self.y


a = Config(3)  # reveal a: Config; a.size: 3; a.name: 'default'; a.deep: True
b = Config(4, "b", deep=False)  # reveal b.name: 'b'; b.deep: False
a.layers.append(1)
c = (a.layers, b.layers)  # reveal c: ([1], [1]) (python: ([1], []))
d = Larger(1, extra=9)  # reveal d.size: 1; d.extra: 9; d.name: 'default'
e = dataclasses.replace(a, size=7)  # reveal e.size: 7; e.name: 'default'; e.layers: [1]; a.size: 3
f = Derived(4).total  # reveal f: 0 (python: 5)
g = Point(1)  # reveal g.x: 1; g.y: 2
h, i = g  # reveal h: 1; i: 2?
j = Point(x=3, y=4)[1]  # reveal j: 4
k = g.sum()  # reveal k: 3
a.size = 11
m = a.size  # reveal m: 11
n = Config(size=1, layers=[5]).layers  # reveal n: [5]
o = g._replace(x=5)  # reveal o.x: 5; o.y: 2; o[0]: 5; g.x: 1
p = Config  # reveal p: class:Config
settings = {"size": 2, "name": "from dict"}
q = Config(**settings)  # reveal q.size: 2; q.name: 'from dict'


@dataclass
class Batches:
    rows: int
    size: int = 2
    steps: int = 0

    def __post_init__(self):
        self.steps = self.rows // self.size


r = Batches(8)
s = dataclasses.replace(r, size=4)  # reveal s.steps: 2; s.rows: 8; r.steps: 4
changes = {"rows": 20}
t = dataclasses.replace(r, **changes)  # reveal t.steps: 10; t.rows: 20; t.size: 2
a.size = 12  # reveal e.size: 7
e.layers.append(2)  # reveal a.layers: [1, 2]
e.name = "e"  # reveal a.name: 'default'


def changed(config, **changes):
    return dataclasses.replace(config, **changes)


u = changed(r, size=8)  # reveal u.size: 8; u.steps: 1
w = dataclasses.replace(d, extra=1)  # reveal w.extra: 1; w.size: 1; w: Larger
