import torch
import torch.nn.functional as F
from torch import nn

model = nn.Linear(2, 2)
other = nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
second = torch.optim.Adam(other.parameters())
loader = torch.utils.data.DataLoader([])
x = torch.randn(3, 2)

loss = F.cross_entropy(model(x), x)  # reveal optimizer.step(): gradients=none
optimizer.zero_grad()  # reveal optimizer.step(): gradients=cleared; second.step(): gradients=none
loss.backward()  # reveal optimizer.step(): gradients=fresh
optimizer.step()  # reveal optimizer.step(): gradients=fresh
optimizer.zero_grad()  # reveal optimizer.step(): gradients=cleared
second.zero_grad()  # reveal second.step(): gradients=cleared; optimizer.step(): gradients=cleared
loss.backward()  # reveal second.step(): gradients=fresh
model.zero_grad()  # reveal optimizer.step(): gradients=cleared?
loss.backward()  # reveal optimizer.step(): gradients=fresh

for batch in loader:
    optimizer.zero_grad()  # reveal optimizer.step(): gradients=cleared
    loss = F.mse_loss(model(batch), batch)  # reveal loss: scalar-loss
    loss.backward()
    optimizer.step()  # reveal optimizer.step(): gradients=fresh

for batch in loader:
    optimizer.zero_grad()
    if x.sum() > 0:
        loss.backward()
    optimizer.step()  # reveal optimizer.step(): gradients=none

for index, batch in enumerate(loader):
    loss.backward()
    if index % 4 == 0:
        optimizer.step()
        optimizer.zero_grad()
after = index  # reveal optimizer.step(): gradients=none

for parameter in model.parameters():
    parameter.grad = None
cleared = 1  # reveal optimizer.step(): gradients=cleared; second.step(): gradients=none


def train_step(optimizer, loss):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()  # reveal optimizer.step(): gradients=fresh


train_step(optimizer, loss)
optimizer.zero_grad()
train_somehow(optimizer)  # noqa: F821  # reveal optimizer.step(): gradients=none


class Trainer:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.AdamW(model.parameters())

    def step(self, batch):
        loss = self.model(batch).sum()
        self.optimizer.zero_grad()  # reveal self.optimizer.step(): gradients=cleared
        loss.backward()
        self.optimizer.step()  # reveal self.optimizer.step(): gradients=fresh


Trainer(model).step(x)
scaler = torch.cuda.amp.GradScaler()
optimizer.zero_grad()
scaler.scale(loss).backward()  # reveal scaler.step(optimizer): gradients=fresh
optimizers = {"a": torch.optim.SGD(model.parameters(), lr=1), "b": second}
optimizers["a"].zero_grad()  # reveal optimizers["a"].step(): gradients=cleared
optimizer.zero_grad()
if x.sum() > 0:
    optimizer.zero_grad()
both = 1  # reveal optimizer.step(): gradients=cleared
if x.sum() > 0:
    second.zero_grad()
one_way = 1  # reveal second.step(): gradients=none

for parameter in other.parameters():
    if parameter.grad is not None:
        parameter.grad.zero_()
by_hand = 1  # reveal second.step(): gradients=cleared
