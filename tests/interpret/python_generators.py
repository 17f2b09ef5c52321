def numbers():
    yield 1
    yield 2


def delegates():
    yield from numbers()


def same():
    for _ in range(3):
        yield "x"


def echo():
    got = yield 1
    yield got


a = next(numbers())  # reveal a: int
b = list(numbers())  # reveal b: list len=none
c = [n for n in delegates()]  # reveal c: list len=none
d = next(same())  # reveal d: 'x'
for item in same():  # reveal item: 'x'
    e = item  # reveal e: 'x'
for item in numbers():  # reveal item: int
    f = item
g = next(iter((3, 3)))  # reveal g: 3


class Batches:
    def __init__(self, size):
        self.size = size

    def __iter__(self):
        for _ in range(2):
            yield self.size, "batch"

    def __len__(self):
        return 2


for size, name in Batches(4):  # reveal size: 4; name: 'batch'
    h = name
i = [size for size, _ in Batches(5)]  # reveal i[0]: 5; i: list len=none

log = []


def logs():
    log.append("start")
    yield 1
    log.append("end")


unused = logs()
j = log  # reveal j: ['start', 'end'] (python: [])
for _ in logs():
    pass
k = log  # reveal k: list

m = tuple(2 for _ in (1, 2))  # reveal m: (2, 2)
n = dict(zip(("a", "b"), (1, 2)))  # reveal n: {'a': 1, 'b': 2}


def pairs():
    yield "k", 1
    yield "k", 2


for key, value in pairs():  # reveal key: 'k'; value: int
    o = key


def never():
    return
    yield 1


p = list(never())  # reveal p: list len=none
