import numpy as np
import torch
from sklearn.model_selection import GroupKFold, TimeSeriesSplit, train_test_split
from sklearn.utils import resample, shuffle
from torch.utils.data import DataLoader, Subset, TensorDataset, random_split

X, y, groups = np.load("x.npy"), np.load("y.npy"), np.load("g.npy")
dataset = TensorDataset(torch.tensor(X), torch.tensor(y))
train_set, test_set = random_split(dataset, [80, 20])  # reveal train_set: role=train; test_set: role=test
a, b = random_split(dataset, [80, 20])  # reveal a: role=none; b: role=none
train_loader = DataLoader(train_set, batch_size=4)  # reveal train_loader: role=train
loader = DataLoader(test_set)  # reveal loader: role=test
for batch, label in loader:  # reveal batch: role=test
    c = batch.to("cuda")  # reveal c: role=test
for index, (batch, label) in enumerate(train_loader):
    d = batch  # reveal d: role=train
X_train, X_test = X[:80], X[80:]  # reveal X_train: role=train; X_test: role=test
e = X_train[:, :2]  # reveal e: role=train
f = np.concatenate((X_train, X_test))  # reveal f: role=none
g = np.log(X_test + 1)  # reveal g: role=test
h = shuffle(X_train)  # reveal h: role=train
i = resample(X_train)  # reveal i: role=train fits=resample
j = resample(X, replace=False)  # reveal j: fits=none
k, m = shuffle(X_test, y)  # reveal k: role=test
for train_index, test_index in TimeSeriesSplit().split(X):
    n = X[test_index]  # reveal n: role=test
    o = Subset(dataset, train_index)  # reveal o: role=train
for train_index, test_index in GroupKFold().split(X, y, groups):
    p = X[train_index]  # reveal p: role=train
    X_tr, X_va = X[train_index], X[test_index]  # reveal X_tr: role=train
trainX, testX = X, X  # reveal trainX: role=train; testX: role=test
train = X  # reveal train: role=train
xtrain = X  # reveal xtrain: role=train
contest = X  # reveal contest: role=none
latest = X  # reveal latest: role=none
training_mode = True  # reveal training_mode: True
rest, holdout = train_test_split(X)  # reveal rest: role=train; holdout: role=test
inner, validation = train_test_split(rest)  # reveal inner: role=train; validation: role=validation
stats = {"mean": X_test.mean(axis=0)}
q = (X - stats["mean"])  # reveal q: role=none
r = [X_train, X_test][1]  # reveal r: role=test
s = {"train": X_train, "test": X_test}
t = s["test"]  # reveal t: role=test
u = s[input()]  # reveal u: role=none
v = X_test if len(X) else X_train  # reveal v: role=none
w = torch.from_numpy(X_test).float()  # reveal w: role=test
z = X_test.sum() > 3  # reveal z: role=test?
