import json
import utils
from utils import Config, make_model as build
import utils as tools

config = Config(size=4)
a = config.size  # reveal a: 4
b = build(config)  # reveal b: Linear
c = tools.DEFAULT  # reveal c: 'cpu'
d = utils.counter()  # reveal d: 1
e = tools.counter()  # reveal e: 2
f = json.loads("1")  # reveal f: unknown
g = utils.nothing  # reveal g: unknown
h = utils.__name__  # reveal h: 'utils'?
i = utils.json.dumps  # reveal i: json.dumps
