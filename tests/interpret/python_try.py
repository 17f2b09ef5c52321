import os


def risky():
    if os.environ.get("SOME_FLAG"):
        raise ValueError
    return 1


x = 1
try:
    x = 2
    risky()
    x = 3
except ValueError:
    x = x  # reveal x: int
y = x  # reveal y: int

a = 1
try:
    a = 2
    raise ValueError
except ValueError:
    b = a  # reveal b: 2?
c = 1
try:
    risky()
except ValueError:
    c = 2
else:
    c = 3  # reveal c: 3
d = c  # reveal d: int

try:
    e = 1
finally:
    f = 2  # reveal f: 2
g = (e, f)  # reveal g: (1, 2)


def returns_through_finally():
    result = []
    try:
        return result
    finally:
        result.append(1)


h = returns_through_finally()  # reveal h: [1]?


def finally_wins():
    try:
        return 1
    finally:
        return 2


i = finally_wins()  # reveal i: 2?


def raises():
    raise ValueError
    return 1  # reveal 1: unreached


def caught():
    try:
        raises()
        return 1
    except ValueError:
        return 2


j = caught()  # reveal j: 2


def reraised(value):
    try:
        return int(value)
    except ValueError as error:
        raise RuntimeError from error


k = reraised("4")  # reveal k: unknown

state = "start"
try:
    state = "try"
    risky()
    state = "done"
except (ValueError, TypeError):
    state = "failed"
finally:
    last = state  # reveal last: unknown

items = []
try:
    items.append(1)
    risky()
    items.append(2)
except ValueError:
    items = items  # reveal items: list len=none

same = 1
try:
    same = int("1") and 1
    risky()
except ValueError:
    pass
end = same  # reveal end: unknown

for attempt in (1, 2, 3):
    try:
        risky()
    except ValueError:
        continue
    break
tried = attempt  # reveal tried: int


def inner_finally(steps):
    for step in (1, 2):
        try:
            if step == 1:
                continue
            steps.append("body")
        finally:
            steps.append(step)
    return steps


m = inner_finally([])  # reveal m: [1, 'body', 2]?
