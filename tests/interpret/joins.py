def chosen(flag, other):
    one = None
    if flag:
        one = 2
    if other:
        pair = (2,)
    else:
        pair = (one,)
    got = 1 if pair[0] else 3  # reveal got: int
    return got


def grown(flag):
    few, many = (1, 2), (3, 1, 2)
    both = few if flag else many
    last = both[-1]  # reveal last: 2
    return last


def ends_that_differ(flag):
    both = (1, 5) if flag else (3, 1, 2)
    last = both[-1]  # reveal last: int
    return last
