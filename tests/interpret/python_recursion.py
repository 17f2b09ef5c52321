def down(n):
    if n == 0:
        return "end"
    return down(n - 1)


a = down(0)  # reveal a: 'end'
b = down(3)  # reveal b: unknown


def even(n):
    return True if n == 0 else odd(n - 1)


def odd(n):
    return False if n == 0 else even(n - 1)


c = even(4)  # reveal c: unknown


def count(n, into):
    into.append(n)
    if n > 0:
        count(n - 1, into)
    return into


d = count(2, [])  # reveal d: [2] (python: [2, 1, 0])

calls = 0


def tally(n):
    global calls
    calls = calls + 1
    if n:
        tally(n - 1)


tally(2)
e = calls  # reveal e: 1 (python: 3)


class Node:
    def __init__(self, value, inner=None):
        self.value = value
        self.inner = inner

    def deepest(self):
        if self.inner is None:
            return self.value
        return self.inner.deepest()


f = Node(1).deepest()  # reveal f: 1
g = Node(1, Node(2)).deepest()  # reveal g: unknown
h = Node(1, Node(2)).inner.value  # reveal h: 2


def endless():
    while True:
        pass


def fibonacci(n, memory={}):
    if n not in memory:
        memory[n] = n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
    return memory[n]


i = fibonacci(5)  # reveal i: unknown
