"""Calls of torch's products of matrices, einsum, and linear algebra."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

from shapes.drawing import SIZES, broadcast_pair, shapes
from shapes.drawing_layers import DTYPE_PAIRS, MOSTLY_FLOATS, NUMBERS, mostly, rarely, some, sometimes_other
from shapes.oracle import Case, Drawn, T


def both(names: str) -> tuple[str, ...]:
    """Functions of torch that are methods, too."""
    return tuple(f"{package}.{name}" for package in ("torch", "torch.Tensor") for name in names.split())


def linalg(names: str) -> tuple[str, ...]:
    return tuple(f"torch.linalg.{name}" for name in names.split())


# --- products ---


@st.composite
def _matmul(draw: st.DrawFn, *, swapped: bool = False) -> Drawn:
    lead, other = draw(broadcast_pair().filter(lambda pair: max(map(len, pair)) < 3))
    inner = draw(SIZES)
    one = draw(st.sampled_from([(*lead, draw(SIZES), inner)] * 4 + [(inner,), ()]))
    second = draw(sometimes_other(inner))
    two = draw(st.sampled_from([(*other, second, draw(SIZES))] * 4 + [(second,), ()]))
    dtypes = draw(DTYPE_PAIRS)
    pair = (T(one, dtypes[0]), T(two, dtypes[1]))
    return Drawn(pair[::-1] if swapped else pair)


@st.composite
def _fixed(draw: st.DrawFn, one: int, two: int, *, added: bool = False, summed: bool = False, in_place: bool = False) -> Drawn:
    """Operands with numbers of axes that are fixed."""
    batch, inner = draw(SIZES), draw(SIZES)
    rows, columns = draw(SIZES), draw(SIZES)
    first = {1: (inner,), 2: (rows, inner), 3: (batch, rows, inner)}[one]
    second_inner = draw(sometimes_other(inner))
    other_batch = draw(sometimes_other(batch))
    second = {1: (second_inner,), 2: (second_inner, columns), 3: (other_batch, second_inner, columns)}[two]
    if rarely(draw):
        first = draw(shapes(0, 4))
    dtypes = draw(DTYPE_PAIRS)
    pair = (T(first, dtypes[0]), T(second, dtypes[1]))
    if not added:
        return Drawn(pair)
    result = (*((batch,) if one == 3 and not summed else ()), rows, *((columns,) if two > 1 else ()))
    start = tuple(draw(st.sampled_from([size, size, 1])) for size in result)[draw(st.sampled_from([0, 0, 1])) :]
    if in_place and not rarely(draw):
        start = result
    if rarely(draw):
        start = draw(shapes(0, 3))
    return Drawn((T(start, dtypes[0]), *pair))


@st.composite
def _inner(draw: st.DrawFn) -> Drawn:
    one = draw(shapes(0, 3))
    two = (*draw(shapes(0, 2)), draw(sometimes_other(one[-1] if one else 2)))
    if rarely(draw):
        two = ()
    return Drawn((T(one), T(two)))


@st.composite
def _outer(draw: st.DrawFn) -> Drawn:
    one, two = draw(shapes(1, 1)), draw(shapes(1, 1))
    if rarely(draw):
        one = draw(shapes(0, 2))
    return Drawn((T(one), T(two)))


@st.composite
def _outer_added(draw: st.DrawFn) -> Drawn:
    rows, columns = draw(SIZES), draw(SIZES)
    start = draw(st.sampled_from([(rows, columns), (columns,), (1, columns), (), (2, 2, 2)]))
    return Drawn((T(start), T((draw(sometimes_other(rows)),)), T((columns,))))


@st.composite
def _trace(draw: st.DrawFn) -> Drawn:
    return Drawn((T(draw(mostly(draw(shapes(2, 2)), draw(shapes(1, 3)))), draw(NUMBERS)),))


@st.composite
def _kron(draw: st.DrawFn) -> Drawn:
    return Drawn((T(draw(shapes(0, 3))), T(draw(shapes(0, 3)))))


@st.composite
def _tensordot(draw: st.DrawFn) -> Drawn:
    shared = draw(shapes(0, 2))
    one = (*draw(shapes(0, 2)), *shared)
    two = (*(draw(sometimes_other(size)) for size in shared), *draw(shapes(0, 2)))
    pair = (T(one), T(two))
    count = len(shared)
    axes = (list(range(len(one) - count, len(one))), list(range(count)))
    calls = [Drawn(pair, {"dims": count}), Drawn((*pair, count)), Drawn(pair, {"dims": axes})]
    if count == 2:
        calls.append(Drawn(pair))
    return draw(st.sampled_from(calls))


@st.composite
def _chain(draw: st.DrawFn, *, sequence: bool) -> Drawn:
    sizes = draw(some(4))
    matrices = [T((one, draw(sometimes_other(two)))) for one, two in pairwise(sizes)]
    if sequence and rarely(draw):
        matrices[0] = T((sizes[1],))
    return Drawn((matrices,)) if sequence else Drawn(tuple(matrices))


@st.composite
def _cdist(draw: st.DrawFn) -> Drawn:
    lead, other = draw(broadcast_pair().filter(lambda pair: max(map(len, pair)) < 3))
    inner = draw(SIZES)
    one, two = (*lead, draw(SIZES), inner), (*other, draw(SIZES), draw(sometimes_other(inner)))
    if rarely(draw):
        one = one[-1:]
    return Drawn((T(one), T(two)))


@st.composite
def _cross(draw: st.DrawFn, *, named: bool) -> Drawn:
    one, two = draw(broadcast_pair())
    if one and two and not rarely(draw):
        length = min(len(one), len(two))
        one, two = (*one[-length:-1], 3), (*two[-length:-1], 3)
    rank = max(len(one), len(two))
    axis = draw(mostly(-1, 0, rank - 1))
    options = {"dim": axis} if named or draw(st.booleans()) else {}
    return Drawn((T(one), T(two)), options)


# --- einsum ---


@st.composite
def _einsum(draw: st.DrawFn) -> Drawn:
    """Equations of random letters whose sizes mostly agree."""
    sizes = {letter: draw(SIZES) for letter in "abcB"}
    open_axes = draw(shapes(0, 2)) if draw(st.booleans()) else None
    terms, operands = [], []
    for _ in range(draw(st.sampled_from([1, 2, 2, 3]))):
        letters = draw(st.lists(st.sampled_from("abcB"), min_size=0, max_size=3))
        dims = [draw(sometimes_other(sizes[letter])) if rarely(draw) else sizes[letter] for letter in letters]
        text = "".join(letters)
        if open_axes is not None:
            place = draw(st.integers(0, len(letters)))
            text = f"{text[:place]}...{text[place:]}"
            lead = open_axes[draw(st.integers(0, len(open_axes))) :]
            dims = [*dims[:place], *lead, *dims[place:]]
        if rarely(draw):
            dims = dims[1:]
        terms.append(text)
        operands.append(T(tuple(dims)))
    equation = draw(st.sampled_from([",", ", "])).join(terms)
    if draw(st.booleans()):
        present = sorted({letter for term in terms for letter in term if letter.isalpha()})
        chosen = draw(st.permutations(present))[: draw(st.integers(0, len(present)))] if present else []
        right = "".join(chosen)
        if open_axes is not None and not rarely(draw):
            right = f"...{right}"
        if rarely(draw):
            right += draw(st.sampled_from("abz"))
        equation += f"->{right}"
    return Drawn((equation, operands)) if rarely(draw) else Drawn((equation, *operands))


_POPULAR = st.sampled_from(
    [
        ("ij,jk->ik", ((2, 3), (3, 4))),
        ("ij,jk", ((2, 3), (3, 4))),
        ("bhid,bhjd->bhij", ((2, 2, 3, 4), (2, 2, 5, 4))),
        ("...ij,...jk->...ik", ((2, 2, 3), (3, 4))),
        ("ii->i", ((3, 3),)),
        ("ii", ((3, 4),)),
        ("i,j->ij", ((3,), (4,))),
        ("bi,bj->b", ((3, 2), (4, 2))),
        ("ij->ji", ((3, 2),)),
        ("ij,jk->ik", ((3, 2),)),
    ]
).map(lambda call: Drawn((call[0], *(T(sizes) for sizes in call[1]))))

# --- linear algebra ---


@st.composite
def _square(draw: st.DrawFn) -> Drawn:
    size = draw(SIZES)
    sizes = (*draw(shapes(0, 2)), size, draw(sometimes_other(size)))
    if rarely(draw):
        sizes = sizes[-1:]
    return Drawn((T(sizes),))


@st.composite
def _matrix(draw: st.DrawFn, /, **options: st.SearchStrategy[object]) -> Drawn:
    sizes = (*draw(shapes(0, 2)), draw(SIZES), draw(SIZES))
    if rarely(draw):
        sizes = sizes[-1:]
    return Drawn((T(sizes, draw(MOSTLY_FLOATS)),), {name: draw(each) for name, each in options.items() if draw(st.booleans())})


@st.composite
def _solve(draw: st.DrawFn) -> Drawn:
    lead, size = draw(shapes(0, 2)), draw(SIZES)
    matrix = (*lead, size, draw(sometimes_other(size)))
    rows = draw(sometimes_other(size))
    right = draw(st.sampled_from([(rows,), (*lead, rows), (*lead, rows, 2), (rows, 3), (*lead[1:], rows, 2)]))
    return Drawn((T(matrix), T(right, draw(mostly("float32", "float64")))))


@st.composite
def _norm(draw: st.DrawFn, least: int = 0) -> Drawn:
    sizes = draw(shapes(least, 4))
    options: dict[str, object] = {}
    if draw(st.booleans()):
        rank = len(sizes)
        axes = [0, -1, (0, 1), (-2, -1), rank - 1, rank] if not least else [(0, 1), (-2, -1), (0, -1), (0, rank)]
        options["dim"] = draw(st.sampled_from(axes))
    if draw(st.booleans()):
        options["keepdim"] = draw(st.booleans())
    return Drawn((T(sizes, draw(MOSTLY_FLOATS)),), options)


@st.composite
def _power(draw: st.DrawFn) -> Drawn:
    drawn = draw(_square())
    return Drawn((*drawn.args, draw(st.sampled_from([0, 1, 2, 3]))))


CASES = [
    Case((*both("matmul"), "torch.Tensor.__matmul__", "torch.linalg.matmul"), _matmul(), real="values"),
    Case(("torch.Tensor.__rmatmul__",), _matmul(swapped=True), real="values"),
    Case(both("mm"), _fixed(2, 2), real="values"),
    Case(both("bmm"), _fixed(3, 3), real="values"),
    Case(both("mv"), _fixed(2, 1), real="values"),
    Case(both("dot vdot"), _fixed(1, 1), real="values"),
    Case(both("inner"), _inner(), real="values"),
    Case(both("outer ger"), _outer(), real="values"),
    Case(both("kron"), _kron(), real="values"),
    Case(both("addmm"), _fixed(2, 2, added=True), real="values"),
    Case(both("addmv"), _fixed(2, 1, added=True), real="values"),
    Case(both("baddbmm"), _fixed(3, 3, added=True), real="values"),
    Case(both("addbmm"), _fixed(3, 3, added=True, summed=True), real="values"),
    Case(("torch.einsum",), _einsum() | _einsum() | _POPULAR, real="values"),
    Case(("torch.tensordot",), _tensordot(), real="values"),
    Case(("torch.chain_matmul",), _chain(sequence=False), real="values"),
    Case(("torch.linalg.multi_dot",), _chain(sequence=True), real="values"),
    Case(("torch.cdist",), _cdist(), real="values"),
    Case(("torch.Tensor.addmm_",), _fixed(2, 2, added=True, in_place=True), real="values"),
    Case(("torch.Tensor.addmv_",), _fixed(2, 1, added=True, in_place=True), real="values"),
    Case(("torch.Tensor.baddbmm_",), _fixed(3, 3, added=True, in_place=True), real="values"),
    Case(both("addr"), _outer_added(), real="values"),
    Case(both("trace"), _trace(), real="values"),
    Case(both("cross"), _cross(named=False), real="values"),
    Case(("torch.linalg.cross",), _cross(named=False), real="values"),
    Case(
        (
            *both("inverse cholesky det logdet slogdet matrix_exp"),
            *linalg("inv cholesky det slogdet eigh eigvalsh eig eigvals matrix_exp"),
        ),
        _square(),
    ),
    Case((*both("matrix_power"), *linalg("matrix_power")), _power()),
    Case(both("svd"), _matrix(some=st.booleans())),
    Case(both("qr"), _matrix(some=st.booleans())),
    Case(linalg("svd"), _matrix(full_matrices=st.booleans())),
    Case(linalg("svdvals pinv matrix_rank"), _matrix()),
    Case(both("pinverse"), _matrix()),
    Case(linalg("qr"), _matrix(mode=st.sampled_from(["reduced", "complete"]))),
    Case(linalg("solve"), _solve()),
    Case(linalg("norm vector_norm"), _norm()),
    Case(linalg("matrix_norm"), _norm(2)),
]
