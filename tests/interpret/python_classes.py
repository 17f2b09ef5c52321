import copy


class Base:
    kind = "base"
    shared = []

    def __init__(self, size=1):
        self.size = size

    def name(self):
        return "base"

    def describe(self):
        return self.name() + self.kind


class Child(Base):
    kind = "child"

    def __init__(self, size):
        super().__init__(size + 1)
        self.extra = size

    def name(self):
        return "child of " + super().name()


class Second(Base):
    def name(self):
        return "second"


class Both(Child, Second):
    pass


a = Base()  # reveal a: Base; a.size: 1; a.kind: 'base'
b = Child(4)  # reveal b.size: 5; b.extra: 4; b.kind: 'child'
c = b.describe()  # reveal c: 'child of basechild'
d = a.describe()  # reveal d: 'basebase'
e = Both(1).name()  # reveal e: 'child of second'
f = isinstance(b, Base)  # reveal f: True
g = a
g.size = 9  # reveal a.size: 9; b.size: 5
Base.kind = "changed"
h = (a.kind, b.kind)  # reveal h: ('changed', 'child')
a.kind = "own"
i = (a.kind, Base.kind)  # reveal i: ('own', 'changed')
j = getattr(b, "extra")  # reveal j: 4
setattr(b, "extra", 6)
k = b.extra  # reveal k: 6
m = Base.name(b)  # reveal m: 'base'
method = b.name
n = method()  # reveal n: 'child of base'
a.shared.append(1)
o = Second().shared  # reveal o: [1]

first, second = Base(1), Base(2)
p = (first.size, second.size)  # reveal p: (1, 2)
many = [Base(n) for n in (1, 2)]
q = (many[0].size, many[1].size)  # reveal q: (1, 2)
twin = copy.copy(first)
twin.size = 7
r = (first.size, twin.size)  # reveal r: (1, 7)


def make(size):
    return Base(size)


one, two = make(1), make(2)
s = (one.size, two.size)  # reveal s: (1, 2)


class Callable:
    def __call__(self, x):
        return x + 1


t = Callable()(1)  # reveal t: 2


class Property:
    def __init__(self):
        self._value = 1

    @property
    def value(self):
        return self._value

    @value.setter
    def value(self, new):
        self._value = new * 10


u = Property()
u.value = 2
v = u.value  # reveal v: 2 (python: 20)


class Attributes:
    a = 1
    b = a + 1
    if b == 2:
        c = "two"

    def own(self):
        return self.b


w = Attributes.c  # reveal w: 'two'; Attributes.b: 2
x = Attributes().own()  # reveal x: 2


class Cyclic:
    def __init__(self, parent=None):
        self.parent = parent
        self.me = self


y = Cyclic(Cyclic())  # reveal y.me: Cyclic; y.parent.parent: None; y.me.me.parent: Cyclic
z = type(b)  # reveal z: unknown
first, *_ = [Base(5), Base(6)]  # reveal first.size: 5


class Slots:
    def __getattr__(self, name):
        return "dynamic"


aa = Slots().anything  # reveal aa: unknown


class Outer:
    class Inner:
        value = 8


bb = Outer.Inner().value  # reveal bb: 8
cc = vars(a)  # reveal cc: unknown


class New:
    def __new__(cls):
        return 5


dd = New()  # reveal dd: 5?
