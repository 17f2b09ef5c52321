import first
import torch
from second import Second

x = torch.randn(2, 3)
a = first.First().twin()  # reveal a: Second
b = Second().twin()  # reveal b: First
c = first.VALUE  # reveal c: 1
d = a.soft(x)  # reveal d: probs
