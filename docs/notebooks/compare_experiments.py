# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Compare the runs of an experiment
#
# Many trainings that differ in their parameters, on the images in Kudu. No setting is computed twice: run this again,
# and all runs are there at once, of the images as they were the first time.

# %%
from pathlib import Path

from flumen import compare_runs, read_experiment, run_experiment

GRID = """
name = "rates"
model = "rates"
seeds = [100, 200]

[data]
from = "kudu"
where = "knownlabel is not null"

[parameters]
rate = [0.001, 0.01]
hidden = [[50]]
epochs = 10
batch_size = 20
"""
Path("rates.toml").write_text(GRID)

# %%
experiment = run_experiment("rates.toml")
experiment

# %% [markdown]
# Accuracy by rate and seed, and how the best ones learnt. Runs that stand are read by their experiment's name, also
# another day.

# %%
grid, by_rate, curves, losses = read_experiment("rates").plots()
grid

# %%
curves

# %% [markdown]
# ## Is the best one better than the second, or was it luck?

# %%
best, second = experiment.runs[:2]
compare_runs(best, second)

# %% [markdown]
# ## Which model is the best?
#
# Whenever a run was better than all before it, its model was registered. `activate_model` lets it classify.

# %%
next(run.reference for run in experiment.runs if run.reference)
