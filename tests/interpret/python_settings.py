import json
import os
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

HERE = Path(__file__).parent
PATH = HERE / "python_settings.json"

with open(PATH) as file:
    a = json.load(file)

b = a["name"]  # reveal b: 'base'
c = a["model"]["act"]  # reveal c: 'softmax'
d = a["model"]["sizes"]  # reveal d: [64, 32]
e = a["model"]["dropout"]  # reveal e: 0.5
f = a["model"]["bias"]  # reveal f: False
g = a["model"]["norm"]  # reveal g: None
h = a.get("model", {}).get("act")  # reveal h: 'softmax'
i = a.get("seed", 7)  # reveal i: 7
j = len(d)  # reveal j: 2?

k = json.loads(PATH.read_text())["name"]  # reveal k: 'base'
m = json.load(open(str(PATH)))["name"]  # reveal m: 'base'
n = json.load(PATH.open())["name"]  # reveal n: 'base'
o = json.load(open(os.path.join(os.path.dirname(__file__), "python_settings.json")))["name"]  # reveal o: 'base'
p = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "python_settings.json")))["name"]  # reveal p: 'base'
q = json.loads((Path(__file__).resolve().parent / "python_settings.json").read_bytes())["name"]  # reveal q: 'base'
r = json.load(open(HERE.joinpath("python_settings.json")))["name"]  # reveal r: 'base'
s = json.load(open(Path(__file__).parents[0] / "python_settings.json"))["name"]  # reveal s: 'base'
t = json.load(open(f"{HERE}/python_settings.json"))["name"]  # reveal t: 'base'
u = json.load(open(HERE / ".." / "interpret" / "python_settings.json"))["name"]  # reveal u: 'base'?
v = json.load(open(Path(__file__).with_suffix(".json")))["name"]  # reveal v: 'base'?
w = json.load(open(Path(__file__).with_name("python_settings.json")))["name"]  # reveal w: 'base'?
x = json.load(open(__file__.replace(".py", ".json")))["name"]  # reveal x: 'base'?
y = PATH.exists()  # reveal y: True
z = os.path.exists(PATH)  # reveal z: True
aa = (HERE / "no_such_file.json").exists()  # reveal aa: False?
bb = PATH.name  # reveal bb: 'python_settings.json'?
cc = PATH.suffix  # reveal cc: '.json'?
dd = PATH.stem  # reveal dd: 'python_settings'?

name, width = "base", 64
ee = f"{name}.json"  # reveal ee: 'base.json'
ff = f"{name}_{width}"  # reveal ff: 'base_64'
gg = f"{name:>6}"  # reveal gg: '  base'?
hh = f"{name!r}"  # reveal hh: "'base'"?
ii = f"{width:04d}"  # reveal ii: '0064'?
jj = f"{0.5}"  # reveal jj: '0.5'?
kk = f"{True}-{None}"  # reveal kk: 'True-None'?
mm = f"{{}}{name}"  # reveal mm: '{}base'?
nn = f"{name}" "s"  # reveal nn: 'bases'?
oo = f"{name=}"  # reveal oo: "name='base'"?
pp = f"{c.title()}"  # reveal pp: 'Softmax'
qq = f"{sys.argv}"  # reveal qq: no-meaning
rr = "configs/{}.json".format(name)  # reveal rr: 'configs/base.json'?
ss = "configs/%s.json" % name  # reveal ss: 'configs/base.json'?
tt = "configs/" + name + ".json"  # reveal tt: 'configs/base.json'

uu = "SoftMax".lower()  # reveal uu: 'softmax'
vv = " softmax ".strip()  # reveal vv: 'softmax'
ww = "nets.digits.Plain".rsplit(".", 1)  # reveal ww: ['nets.digits', 'Plain']
xx, yy = "nets.digits.Plain".rsplit(".", 1)  # reveal xx: 'nets.digits'; yy: 'Plain'
zz = "nets.digits.Plain".rpartition(".")  # reveal zz: ('nets.digits', '.', 'Plain')?
ab = "a-b".replace("-", "_")  # reveal ab: 'a_b'
ac = "base.json".endswith(".json")  # reveal ac: True
ad = "base.json".endswith((".yaml", ".yml"))  # reveal ad: False?
ae = "base.json".startswith("large")  # reveal ae: False
af = [each.strip() for each in a["names"].split(",")]  # reveal af: ['train', 'test']?
ag = ",".join(["a", "b"])  # reveal ag: 'a,b'?
ah = "x".upper().lower()  # reveal ah: 'x'
ai = "a b".split()[-1]  # reveal ai: 'b'
aj = "base.json".removesuffix(".json")  # reveal aj: 'base'?
ak = "12".isdigit()  # reveal ak: True?
al = "abc"[0]  # reveal al: 'a'?
am = "abc"[1:]  # reveal am: 'bc'?
an = "abc".index("z") if "z" in "abc" else 5  # reveal an: 5

ao = "softmax" in ["softmax", "relu"]  # reveal ao: True
ap = "tanh" in ("softmax", "relu")  # reveal ap: False
aq = "tanh" not in {"softmax", "relu"}  # reveal aq: True
ar = "act" in a["model"]  # reveal ar: True
at = "seed" in a  # reveal at: False
au = "soft" in c  # reveal au: True
av = "hard" not in c  # reveal av: True
aw = c in {"softmax": 1, "relu": 2}  # reveal aw: True
ax = 64 in d  # reveal ax: True
ay = 1 in [True, 2]  # reveal ay: True?
az = None in [a["model"]["norm"]]  # reveal az: True
ba = sys.argv in [1, 2]  # reveal ba: no-meaning
bc = "x" in [sys.argv[0], "x"]  # reveal bc: True?
bd = "x" in [sys.argv[0], "y"]  # reveal bd: False?
be = "a" in {"a": 1}.keys()  # reveal be: True?
bf = 1 in {"a": 1}.values()  # reveal bf: True?


@dataclass
class Model:
    act: str = "relu"
    sizes: tuple = ()
    dropout: float = 0.0
    bias: bool = True
    norm: str = "batch"
    extra: int = 3


bg = Model(**a["model"])
bh = bg.act  # reveal bh: 'softmax'
bi = bg.bias  # reveal bi: False
bj = bg.extra  # reveal bj: 3
bk = Namespace(**a["model"]).act  # reveal bk: 'softmax'
bm = SimpleNamespace(**a["model"]).act  # reveal bm: 'softmax'


class Settings:
    def __init__(self, settings):
        for key, value in settings.items():
            setattr(self, key, value)


class AttrDict(dict):
    def __getattr__(self, key):
        return self[key]


bn = Settings(a).name  # reveal bn: 'base'
bo = Settings(a["model"]).act  # reveal bo: 'softmax'
bp = AttrDict(a).name  # reveal bp: 'base'
bq = {**a["model"], "act": "relu"}["act"]  # reveal bq: 'relu'
br = {"act": "relu", **a["model"]}["act"]  # reveal br: 'softmax'
bs = dict(a["model"], act="relu")["act"]  # reveal bs: 'relu'?
bt = a["model"].get("act", "relu")  # reveal bt: 'softmax'
bu = ({"act": "relu"} | a["model"])["act"]  # reveal bu: 'softmax'?
a["model"]["act"] = "tanh"
bv = a["model"]["act"]  # reveal bv: 'tanh'
a.update({"name": "large"})
bw = a["name"]  # reveal bw: 'large'
bx = a.pop("names")  # reveal bx: 'train, test'
by = "names" in a  # reveal by: False

bz = import_module("json").dumps is json.dumps  # reveal bz: True?
ca = ArgumentParser().parse_args([])  # reveal ca: no-meaning
cb = [key for key in a["model"]]  # reveal cb: ['act', 'sizes', 'dropout', 'bias', 'norm']?
for key, value in {"one": 1, "two": 2}.items():  # reveal key: 'one' | 'two'; value: 1 | 2
    cd = f"{key}_{value}"  # reveal cd: 'one_1' | 'two_2'
