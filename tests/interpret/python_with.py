import contextlib


@contextlib.contextmanager
def scope(name):
    opened = name + "!"
    yield opened
    closed.append(name)


class Manager:
    def __init__(self, value):
        self.value = value
        self.open = False

    def __enter__(self):
        self.open = True
        return self.value

    def __exit__(self, *error):
        self.open = False


class Suppresses:
    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return True


closed = []
with scope("a") as a:  # reveal a: 'a!'
    before = len(closed)  # reveal closed: []
after = closed  # reveal after: ['a']

manager = Manager(3)
with manager as held:
    inside = manager.open  # reveal inside: True; held: 3
outside = manager.open  # reveal outside: False

with Manager(1) as one, Manager(2) as two:
    both = one + two  # reveal both: 3

with scope("b") as b, Manager(b) as c:
    chained = c  # reveal chained: 'b!'

x = 1
with Suppresses():
    x = 2
    raise ValueError
y = x  # reveal y: 2?

with open(__file__) if False else contextlib.nullcontext(5) as five:
    number = five  # reveal number: unknown


def leaves():
    with Manager(4) as four:
        return four  # reveal four: 4


left = leaves()  # reveal left: 4


def yields_twice():
    yield 1
    yield 2


@contextlib.contextmanager
def unwinds():
    log.append("in")
    try:
        yield len(log)
    finally:
        log.append("out")


log = []
with unwinds():
    log.append("body")  # reveal log: ['in', 'body']
trace = log  # reveal trace: ['in', 'body', 'out']
