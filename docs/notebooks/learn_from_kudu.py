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
# # Learn from the images in Kudu
#
# Workers have stored images, and some of them have a known label. Look at these, train two models, compare them,
# keep the better one, and let it classify what comes next.
#
# The addresses of Kafka, Kudu and Solr come from where every command has them: `FLUMEN_*` names in the environment,
# `flumen.toml`, or what `flumen up` recorded. `FLUMEN_HOME` names the folder of the latter, where this runs elsewhere.

# %%
from flumen import activate_model, compare, contact_sheet, load_images, register_model, train_model

images = load_images("kudu")
images

# %% [markdown]
# Each image is on its side of the split for ever, by a hash of its id. What was left out is named with the reason. Some
# of the images are chosen by a condition, as in `where="source like 'camera-%'"`.

# %%
contact_sheet(images.train, images.labels)

# %% [markdown]
# ## Train
#
# `flumen trainers` lists what there is, with all parameters. A model learns from the part `train`, the part
# `validation` says which epoch was the best, and the part `test` is looked at once, at the end.

# %%
network = train_model("mnist", images, "network", hidden=[50], epochs=15, batch_size=20, rate=0.005)
network.evaluation.accuracy

# %%
logistic = train_model("mnist", images, "logistic", epochs=5)
logistic.evaluation.accuracy

# %% [markdown]
# ## Compare
#
# How many of the same images only one of them has right, and how probable that is by chance (McNemar's test).

# %%
compare(network.answers, logistic.answers)

# %% [markdown]
# What the network gets wrong, with the label that is known:

# %%
contact_sheet(images.test.only(~network.answers.right), images.labels)

# %% [markdown]
# ## Keep the better one, and let it classify
#
# It is chosen by the part `validation`, not by `test`. To activate it changes the model of every worker: all prepare
# it, and only when all are ready, all swap. A model that scored less than the present one on the same images is
# refused.

# %%
better = max(network, logistic, key=lambda made: max(each.accuracy for each in made.rounds))
version = register_model(better)
str(version)

# %%
activate_model(version, reason="learnt from what cameras sent")
