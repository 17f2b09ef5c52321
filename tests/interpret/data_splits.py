import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

df = pd.read_csv("data.csv")  # reveal df: role=none
X, y = df.drop(columns="y"), df["y"]  # reveal X: role=none
X_train, X_test, y_train, y_test = train_test_split(X, y)  # reveal X_train: role=train; X_test: role=test; y_train: role=train
a, b = train_test_split(df)  # reveal a: role=train; b: role=test
fit, val = train_test_split(X_train)  # reveal fit: role=train; val: role=validation
c, d, e, f = train_test_split(X, y, test_size=0.2, random_state=1)  # reveal d: role=test; f: role=test; e: role=train
parts = train_test_split(X, y)  # reveal parts: len=4; parts[0]: role=train; parts[1]: role=test
g = X_test[:10]  # reveal g: role=test
h = X_test.values  # reveal h: role=test
i = np.asarray(X_test)  # reveal i: role=test
j = X_test["a"] * 2  # reveal j: role=test
k = np.concatenate([X_train, X_test])  # reveal k: role=none
m = X_test.copy()  # reveal m: role=test
n = X_train + X_train  # reveal n: role=train
o = len(X_test)  # reveal o: role=none
p = X_test.shape  # reveal p: role=none

for train, test in KFold(5).split(X):
    q = X[train]  # reveal q: role=train; train: picks=train; test: picks=test
    r = X.iloc[test]  # reveal r: role=test
kfold = StratifiedKFold(n_splits=3)
for number, (train, test) in enumerate(kfold.split(X, y)):
    s = X.iloc[test]  # reveal s: role=test
    t = y[train]  # reveal t: role=train

train_df = df[df.year < 2020]  # reveal train_df: role=train
test_df = df[df.year >= 2020]  # reveal test_df: role=test
val_set = df.sample(10)  # reveal val_set: role=validation
whole = df  # reveal whole: role=none
test_size = 0.2  # reveal test_size: 0.2 role=none
train_and_test = df  # reveal train_and_test: role=none
n_train = 5  # reveal n_train: 5
train_flag = True  # reveal train_flag: True

if len(df) > 3:
    u = X_train
else:
    u = X_test
v = u  # reveal v: role=none


def split(data):
    left, right = train_test_split(data)
    return left, right


w, x = split(df)  # reveal w: role=train; x: role=test


class Module:
    def __init__(self, data):
        self.train, self.test = train_test_split(data)

    def held_out(self):
        return self.test


aa = Module(df).held_out()  # reveal aa: role=test
bb = Module(df).train  # reveal bb: role=train
indices = np.arange(3)
cc = X_test.loc[indices]  # reveal cc: role=test
dd = train_test_split(*[X, y])  # reveal dd[0]: role=train
ee = pd.concat([X_test, y_test], axis=1)  # reveal ee: role=test
ff = X_test.iloc[:, 0]  # reveal ff: role=test
for column in X_test.columns:
    gg = X_test[column]  # reveal gg: role=test; column: role=none
