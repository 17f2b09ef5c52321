import os


def kind(value):
    match value:
        case 1:
            return "one"
        case 2 | 3:
            return "few"
        case _:
            return "many"


a = kind(1)  # reveal a: 'one'?
b = kind(int(os.environ.get("N", "7")))  # reveal b: unknown

x = "start"
match a:
    case "one":
        x = "a"
    case _:
        x = "b"
c = x  # reveal c: unknown

y = 1
match (1, 2):
    case (p, q):
        y = p
d = y  # reveal d: unknown


def same(value):
    match value:
        case int():
            return 5
        case str():
            return 5
        case _:
            return 5


e = same(1)  # reveal e: 5

match {"k": 3}:
    case {"k": found}:
        f = found  # reveal f: 3?
    case _:
        f = 0

name = "before"
match "after":
    case name:
        g = name  # reveal g: 'after'?
h = name  # reveal h: 'after'?

z = 1
match z:
    case 1 if a == "never":
        z = 2
    case [first, *others]:
        z = 3
i = z  # reveal i: int
