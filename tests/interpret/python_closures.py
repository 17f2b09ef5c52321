def counter(start):
    count = start

    def increase():
        nonlocal count
        count = count + 1
        return count

    return increase


tick = counter(5)
one = tick()  # reveal one: 6
two = tick()  # reveal two: 7
other = counter(1)
three = other()  # reveal three: 2
four = tick()  # reveal four: 8


def adder(n):
    def add(x):
        return x + n

    return add


add_two, add_three = adder(2), adder(3)  # reveal add_two: def:add
five = add_two(3)  # reveal five: 5
six = add_three(3)  # reveal six: 6

adders = [adder(n) for n in (10, 20)]
late = adders[0](1)  # reveal late: 11?
later = adders[1](1)  # reveal later: 21?

lambdas = [lambda: n for n in (1, 2)]
bound_late = lambdas[0]()  # reveal bound_late: 2?

value = "global"


def reads():
    return value


def writes():
    global value
    value = "written"


before = reads()  # reveal before: 'global'
writes()
after = reads()  # reveal after: 'written'; value: 'written'


def shadows():
    value = "local"

    def inner():
        return value

    value = "changed"
    return inner()


seven = shadows()  # reveal seven: 'changed'


def outer():
    kept = 1

    def middle():
        def inner():
            nonlocal kept
            kept = 2

        inner()

    middle()
    return kept


eight = outer()  # reveal eight: 2


def default(x, items=(1, 2)):
    return [x + item for item in items]


nine = default(1)  # reveal nine: [2, 3]
ten = (lambda x, y=4: x + y)(1)  # reveal ten: 5
size = 3
eleven = (lambda: size)()  # reveal eleven: 3


class Holder:
    value = "class"

    def method(self):
        return value


twelve = Holder().method()  # reveal twelve: 'written'


def collects(item, into=[]):
    into.append(item)
    return into


collects(1)
thirteen = collects(2)  # reveal thirteen: [2] (python: [1, 2])


def early_default(n=size):
    return n


size = 99
fourteen = early_default()  # reveal fourteen: 99 (python: 3)
