import os

total = 0
for i in (1, 2, 3):  # reveal i: 1 | 2 | 3
    total = total + i
end = total  # reveal end: 6; i: 3

count = 0
for _ in range(10):
    count = count + 1  # reveal count: unknown
after = count  # reveal after: unknown

first = None
for name in ["a", "b", "c"]:
    first = name
    break
got = first  # reveal got: 'a'; name: 'a'

skipped = []
for number in (1, 2, 3):
    if number == 2:
        continue
    skipped.append(number)  # reveal number: 1 | 3
done = skipped  # reveal done: [1, 3]

for number in (1, 2):
    if number == 5:
        break
else:
    through = "else"  # reveal through: 'else'

for number in (1, 2):
    if number == 2:
        break
else:
    broken = 1
else_after_break = number  # reveal else_after_break: 2

kept = 7
changed = 7
for _ in range(3):
    copy = changed  # reveal copy: unknown; kept: 7
    changed = changed + 1
tail = (kept, changed)  # reveal tail: (7, ...)

i = 0
while i < 3:
    i = i + 1
left = i  # reveal left: unknown

while True:
    inner = 1
    if os.environ.get("A"):
        break
    inner = 2
    if not os.environ.get("B"):
        break
out = inner  # reveal out: int

while True:
    only = 3
    break
leaves = only  # reveal leaves: 3

ran = 0
while ran:
    ran = 5
never = ran  # reveal never: 0?

a = b = c = d = e = 0
for _ in range(10):
    a = b
    b = c
    c = d
    d = e
    e = 1
shifted = a  # reveal shifted: unknown; e: int scaled=yes

flag = False
for _ in range(int(os.environ.get("ROUNDS", "2"))):
    flag = True
maybe = flag  # reveal maybe: unknown

empty = 0
for _ in []:
    empty = 1
skips = empty  # reveal skips: 0?

over = 1
for number in (1, 2):
    if number == 2:
        break
else:
    over = 2
by_break = over  # reveal by_break: 1?

pairs = []
for index, letter in enumerate("a,b".split(",")):
    pairs.append((index, letter))
size = pairs  # reveal size: [(0, 'a'), (1, 'b')]

for left_side, right_side in [(1, "x"), (2, "y")]:
    joined = right_side  # reveal left_side: 1 | 2; joined: 'x' | 'y'
for index, letter in enumerate(("x", "y")):
    both = letter  # reveal index: 0 | 1; both: 'x' | 'y'
for one, two in zip((1, 2), (3, 4)):
    three = one + two  # reveal three: 4 | 6
for key in {"k": 1, "l": 2}:
    held = key  # reveal held: 'k'? | 'l'?
for key, value in {"k": 1, "l": 2}.items():
    held = value  # reveal key: 'k' | 'l'; held: 1 | 2
for one in reversed([1, 2]):
    last = one  # reveal last: 2 | 1
final = last  # reveal final: 1

outer = []
for row in (1, 2):
    for column in (3, 4):
        if column == 4:
            break
        outer.append(row * column)
nested = outer  # reveal nested: [3, 6]


def find(wanted, things):
    for thing in things:
        if thing == wanted:
            return thing
    return None


found = find(2, (1, 2, 3))  # reveal found: 2
missing = find(9, (1, 2, 3))  # reveal missing: None

boxes = []
for number in (1, 2):
    box = [number]
    boxes.append(box)
same_line = boxes[0]  # reveal same_line[0]: 1?
