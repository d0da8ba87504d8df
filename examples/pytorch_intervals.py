"""PyTorch: how much do households spend on food, and how sure is that? A network that predicts mean and variance.

Spending differs more between rich households than between poor ones. ``GaussianNLL`` learns both numbers, and 90 %
intervals should hold about 90 % of the households that were left out.
"""

from pathlib import Path

import numpy as np
import torch

import lossfn

DATA = Path(__file__).parent / "data" / "engel.csv"

torch.manual_seed(0)
income, food = torch.tensor(np.loadtxt(DATA, delimiter=",", skiprows=1).T / 1000)
held_out = torch.arange(len(food)) % 4 == 0
inputs = torch.log(income)[:, None]

loss = lossfn.GaussianNLL(min_log_variance=-10.0)
model = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2))
# In single precision the last digits, and with them the households next to an end, would differ between machines.
model = model.double()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(300):
    optimizer.zero_grad()
    value = loss(model(inputs[~held_out]), food[~held_out])
    value.backward()
    optimizer.step()

with torch.no_grad():
    heads = model(inputs[held_out])
    mean, deviation = heads[:, 0], torch.exp(heads[:, 1] / 2)
    theirs = torch.nn.functional.gaussian_nll_loss(mean, food[held_out], deviation**2)
    inside = (food[held_out] - mean).abs() < 1.645 * deviation
print(f"difference from torch.nn.functional.gaussian_nll_loss {abs(loss(heads, food[held_out]) - theirs):.4f}")
print(f"held-out households inside their 90 % interval: {inside.double().mean():.0%}")
