x = "module"


def reads_module():
    return x


def local_before_assignment(flag):
    if flag:
        x = "local"
    return x


class Body:
    x = "class"
    y = x
    z = [x for _ in (1,)]

    def method(self):
        return x

    def own(self):
        return self.x

    other = reads_module


a = reads_module()  # reveal a: 'module'
b = Body.y  # reveal b: 'class'
c = Body().method()  # reveal c: 'module'
d = Body().own()  # reveal d: 'class'
e = local_before_assignment(True)  # reveal e: 'local'
f = Body.z  # reveal f: ['class'] (python: ['module'])


def parameters(x):
    def inner(x):
        x = x + "!"
        return x

    return inner(x), x


g = parameters("p")  # reveal g: ('p!', 'p')


def loops():
    for x in ("a", "b"):
        pass
    return x


h = loops()  # reveal h: 'b'; x: 'module'


def deletes():
    y = 1
    del y
    try:
        return y
    except NameError:
        return "gone"


i = deletes()  # reveal i: 'gone'?


def excepts():
    error = "kept"
    try:
        raise ValueError
    except ValueError as error:
        pass
    return "done"


j = excepts()  # reveal j: 'done'


def nested_global():
    def inner():
        global made
        made = 5

    inner()
    return made


k = nested_global()  # reveal k: 5; made: 5


def both():
    count = 0

    def up():
        nonlocal count
        count += 1
        return count

    up()
    up()
    return count


m = both()  # reveal m: 2?


def returns_functions():
    def one():
        return 1

    def two():
        return one() + 1

    return one, two


one, two = returns_functions()
n = two()  # reveal n: 2


def swaps(a, b):
    a, b = b, a
    return a, b


o = swaps(1, 2)  # reveal o: (2, 1)


def uses_builtin():
    list = (1, 2)
    return list


p = uses_builtin()  # reveal p: (1, 2)
q = [x := "walrus" for _ in (1,)]  # reveal q: ['walrus']; x: 'walrus'
r = reads_module()  # reveal r: 'walrus'
total = 1
total += 2
s = total  # reveal s: 3?
t = u = []
t.append(1)
v = u  # reveal v: [1]
(w, *rest), z = (1, 2, 3), 4  # reveal w: 1; rest: [2, 3]; z: 4
