"""Clocks, and what makes a program wait for the GPU, which works on while the program goes on."""

from __future__ import annotations

CLOCKS: frozenset[str] = frozenset(
    f"time.{name}" for name in ("time", "perf_counter", "monotonic", "process_time", "time_ns", "perf_counter_ns", "monotonic_ns")
) | frozenset({"timeit.default_timer", "datetime.datetime.now"})
"""Functions that tell the time of the program, and know nothing of the GPU."""

WAITS = (
    r"synchronize\(|\.item\(|\.cpu\(|\.numpy\(|\.tolist\(|\.wait\(|\bEvent\(|elapsed_time|\bfloat\(|\bprint\(\s*loss|\bint\("
    r"|\.nonzero\(|\ballclose\(|\bTimer\(|\bdo_bench\b|\bfetch\(|\.any\(\)|\.all\(\)"
    r"|\.to\(\s*[\"']cpu[\"']|\bdecode\(|accuracy|all_reduce|barrier\("
)
"""What needs a result of the GPU, and waits for it."""

WORKS = (
    r"\b(?:self\.)?(?:\w*model|\w*net|network|net[GD]|encoder|decoder|generator|discriminator|backbone|policy|agent|module|layer)\w*"
    r"(?:\.(?:forward|generate|encode|module))?\(|\.backward\(|\.step\(|\btorch\.(?:matmul|mm|bmm|einsum|addmm|conv\w*)\(|\s@\s"
)
"""What runs on the GPU, where a program uses one."""

SAYS_GPU = r"\.cuda\(|[\"']cuda(?::\d+)?[\"']|torch\.cuda\.(?!is_available|device_count|synchronize|Event)"
"""What says that a program uses a GPU."""
