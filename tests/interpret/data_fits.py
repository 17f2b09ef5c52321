import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import LabelEncoder, Normalizer, StandardScaler

df = pd.read_csv("data.csv")
X, y = df.drop(columns="y"), df["y"]
scaler = StandardScaler()
a = scaler.fit_transform(X)  # reveal a: fits=StandardScaler role=none
b = StandardScaler().fit(X).transform(X)  # reveal b: fits=StandardScaler
X_train, X_test, y_train, y_test = train_test_split(a, y)  # reveal X_train: fits=StandardScaler role=train; X_test: fits=StandardScaler role=test; y_test: fits=none
c = PCA(2).fit_transform(a)  # reveal c: fits=PCA,StandardScaler
d = SelectKBest(k=3).fit_transform(X, y)  # reveal d: fits=SelectKBest
e = np.hstack([a, d])  # reveal e: fits=SelectKBest,StandardScaler
f = a[:10]  # reveal f: fits=StandardScaler
g = pd.DataFrame(a, columns=["a"])  # reveal g: fits=StandardScaler
h = len(a)  # reveal h: fits=none
i = Normalizer().fit_transform(X)  # reveal i: fits=none
j = LabelEncoder().fit_transform(y)  # reveal j: fits=none

df["x"] = StandardScaler().fit_transform(df[["x"]])  # reveal df: fits=StandardScaler
clean = pd.read_csv("other.csv")
clean["y"] = LabelEncoder().fit_transform(clean["y"])  # reveal clean: fits=none
clean[["a", "b"]] = scaler.transform(clean[["a", "b"]])  # reveal clean: fits=StandardScaler
loc = pd.read_csv("third.csv")
loc.loc[:, "a"] = StandardScaler().fit_transform(loc[["a"]])  # reveal loc: fits=StandardScaler

Z = pd.read_csv("fourth.csv")
Z_train, Z_test = train_test_split(Z)
own = StandardScaler()
k = own.fit_transform(Z_train)  # reveal k: fits=StandardScaler role=train
m = own.transform(Z_test)  # reveal m: fits=StandardScaler role=test
own = StandardScaler()
n = own.transform(Z)  # reveal n: fits=none
pipe = make_pipeline(StandardScaler(), LogisticRegression())
o = pipe.fit(Z_train, y).predict(Z_test)  # reveal o: fits=none
steps = Pipeline([("scale", StandardScaler()), ("select", SelectKBest())])
p = steps.fit_transform(Z, y)  # reveal p: fits=Pipeline
columns = ColumnTransformer([("n", SimpleImputer(), ["a"])])
q = columns.fit_transform(Z)  # reveal q: fits=ColumnTransformer
r = LogisticRegression().fit(Z, y)  # reveal r: LogisticRegression fits=none


def prepare(data):
    tool = StandardScaler()
    return tool.fit_transform(data), tool


s, tool = prepare(Z)  # reveal s: fits=StandardScaler; tool: StandardScaler
t = tool.transform(Z_test)  # reveal t: fits=StandardScaler role=test
if len(Z) > 3:
    u = scaler.fit_transform(Z)
else:
    u = Z
v = u  # reveal v: fits=StandardScaler


class Prepares:
    def __init__(self):
        self.scaler = StandardScaler()

    def fit(self, data):
        self.scaler.fit(data)
        return self

    def apply(self, data):
        return self.scaler.transform(data)


w = Prepares().fit(Z).apply(Z_test)  # reveal w: fits=StandardScaler
for column in ["a", "b"]:
    Z[column] = StandardScaler().fit_transform(Z[[column]])
x = Z  # reveal x: fits=StandardScaler
aa = a.mean()  # reveal aa: fits=StandardScaler
bb = scaler.inverse_transform(Z_test)  # reveal bb: role=test
cc = {"X": a}["X"]  # reveal cc: fits=StandardScaler
dd = Custom().fit_transform(Z_train)  # noqa: F821  # reveal dd: fits=none role=train
