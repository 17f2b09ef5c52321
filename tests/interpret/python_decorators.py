import functools


def doubled(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs) * 2

    return wrapper


def times(n):
    def decorate(function):
        def wrapper(*args):
            return function(*args) * n

        return wrapper

    return decorate


def registered(function):
    registry.append(function)
    return function


def replaced(function):
    return 5


class Wrapper:
    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return self.function(x) + 100


registry = []


@doubled
def one(x):
    return x + 1


@times(3)
def two(x):
    return x + 1


@times(3)
@doubled
def three(x):
    return x + 1


@registered
def four(x):
    return x


@replaced
def five(x):
    return x


@Wrapper
def six(x):
    return x


@functools.lru_cache(maxsize=None)
def seven(x):
    return x


a = one(1)  # reveal a: 4
b = two(1)  # reveal b: 6
c = three(1)  # reveal c: 12
d = four(1)  # reveal d: 1
e = five  # reveal e: def:five (python: 5)
f = six(1)  # reveal f: 1 (python: 101)
g = seven(1)  # reveal g: 1


class Sums:
    @doubled
    def method(self, x):
        return x

    @staticmethod
    def static(x):
        return x

    @classmethod
    def named(cls, x):
        return cls, x

    @property
    def size(self):
        return 3

    @functools.cached_property
    def cached(self):
        return 4


h = Sums().method(2)  # reveal h: 4
i = Sums().static(2)  # reveal i: 2
j = Sums.static(3)  # reveal j: 3
k = Sums.named(1)  # reveal k[1]: 1; k[0]: class:Sums
m = Sums().named(1)  # reveal m[0]: class:Sums
n = Sums().size  # reveal n: 3
o = Sums().cached  # reveal o: 4
p = Sums.named  # reveal p(2)[1]: 2?


def drops(function):
    def wrapper(x):
        return "dropped"

    return wrapper


@drops
def eight(x):
    return x


q = eight(1)  # reveal q: 'dropped'
