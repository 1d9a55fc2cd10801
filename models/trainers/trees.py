"""The trainer `trees`: gradient-boosted trees, scikit-learn's HistGradientBoostingClassifier."""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flumen.interceptor.classifier import Preprocess
from flumen.interceptor.preprocess import to_tensor
from flumen.models.manifest import tensor_shape
from flumen.models.trainers.dense import shares
from flumen.models.trainers.parameters import check_bounds, parameter
from flumen.models.trainers.rounds import Rounds
from flumen.models.trainers.tensors import INPUT_TENSOR, OPSET, OUTPUT_TENSOR, flat_preprocess
from flumen.models.trainers.trainer import Progress, Task

_THREADS = 1


@dataclass(frozen=True, slots=True)
class Parameters:
    """What one training differs in from another.

    `step`: scikit-learn sorts all pixels into bins anew whenever it goes on, which a round of several trees spreads.
    """

    trees: int = parameter(30, "Trees of each class", low=1, high=100_000)
    rate: float = parameter(0.1, "Learning rate: how much a tree counts", low=1e-6, high=1)
    leaves: int = parameter(31, "Leaves of a tree at most", low=2, high=10_000)
    depth: int = parameter(0, "Depth of a tree at most; 0: any", low=0, high=1000)
    l2: float = parameter(0.0, "Penalty on the values of leaves", low=0, high=1e6)
    share: float = parameter(1.0, "Share of the pixels that each node may choose from", low=0.001, high=1)
    step: int = parameter(10, "Trees of each class a round", low=1, high=100_000)
    patience: int = parameter(
        3, "Rounds without a better accuracy on the validation part before it stops; 0: never", low=0
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True)
class TrainedTrees:
    """Trees that have learnt. `fitted`: scikit-learn's. `shape`: of one image's tensor."""

    fitted: Any
    shape: tuple[int, ...]
    rounds: tuple[Progress, ...]
    facts: dict[str, int | float | str]

    def probabilities(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Classify; float32, n x `shape` in, n x labels out."""
        answers: NDArray[np.float32] = self.fitted.predict_proba(tensor.reshape(len(tensor), -1)).astype(
            np.float32
        )
        return answers

    def to_onnx(self) -> bytes:
        """Return it as ONNX."""
        return trees_onnx(self.fitted, self.shape)


class Trees:
    """Gradient-boosted trees."""

    name = "trees"
    summary = "Gradient-boosted trees, by scikit-learn"
    parameters = Parameters
    packages = ("numpy", "scikit-learn", "onnx", "onnxruntime")

    def preprocess(self, pixels: NDArray[np.uint8]) -> Preprocess:
        """Return the article's way: a grey value above 30 becomes 1.0, any other 0.0."""
        return flat_preprocess(pixels)

    def train(self, task: Task, parameters: Any) -> TrainedTrees:
        """Learn."""
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        tensor = _vectors(task, task.train.pixels)
        validation = None if task.validation is None else _vectors(task, task.validation.pixels)
        model: Any = HistGradientBoostingClassifier(
            learning_rate=parameters.rate,
            max_leaf_nodes=parameters.leaves,
            max_depth=parameters.depth or None,
            l2_regularization=parameters.l2,
            max_features=parameters.share,
            early_stopping=False,
            warm_start=True,
            random_state=task.seed,
        )
        total = -(-parameters.trees // parameters.step)
        rounds: Rounds[Any] = Rounds(task, total, parameters.patience)
        goes_on = True
        with threadpool_limits(_THREADS, user_api="openmp"):
            while goes_on:
                model.max_iter = min(parameters.trees, (len(rounds.all) + 1) * parameters.step)
                model.fit(tensor, task.train.labels, sample_weight=shares(task))
                accuracy = None
                if validation is not None and task.validation is not None:
                    accuracy = float(np.mean(model.predict(validation) == task.validation.labels))
                goes_on = rounds.take(None, accuracy, lambda: copy.deepcopy(model))
        best = rounds.result()
        return TrainedTrees(
            best, tensor_shape(task.preprocess), tuple(rounds.all), {"best_trees": int(best.n_iter_)}
        )


def trees_onnx(fitted: Any, shape: tuple[int, ...]) -> bytes:
    """Return fitted trees as ONNX: `image` float32 [n, *shape] in, `probabilities` float32 [n, labels] out.

    Written here, because skl2onnx 1.20 puts truths where onnx 1.23 takes whole numbers only. All trees add up in one
    TreeEnsembleRegressor, one target a class; of two classes there is one target, the second one's.
    """
    from onnx import TensorProto, helper

    # The trees themselves: nothing public gives them.
    rounds = fitted._predictors
    targets = len(rounds[0])
    labels = max(2, targets)
    base = np.asarray(fitted._baseline_prediction, np.float64).ravel()
    node = helper.make_node
    nodes = [
        node("Flatten", [INPUT_TENSOR], ["flat"], axis=1),
        node(
            "TreeEnsembleRegressor",
            ["flat"],
            ["sums"],
            domain="ai.onnx.ml",
            n_targets=targets,
            base_values=base.astype(np.float32).tolist(),
            **_tree_attributes(
                [trees[target].nodes for trees in rounds for target in range(targets)], targets
            ),
        ),
    ]
    if targets > 1:
        nodes.append(node("Softmax", ["sums"], [OUTPUT_TENSOR], axis=1))
    else:
        nodes += [
            node("Neg", ["sums"], ["against"]),
            node("Sigmoid", ["against"], ["first"]),
            node("Sigmoid", ["sums"], ["second"]),
            node("Concat", ["first", "second"], [OUTPUT_TENSOR], axis=1),
        ]
    graph = helper.make_graph(
        nodes,
        "trees",
        [helper.make_tensor_value_info(INPUT_TENSOR, TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info(OUTPUT_TENSOR, TensorProto.FLOAT, ["n", labels])],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return bytes(model.SerializeToString(deterministic=True))


def _tree_attributes(trees: list[Any], targets: int) -> dict[str, Any]:
    """Return the attributes of the operator: all nodes of all trees, one after another, and the values of leaves."""
    sizes = [len(nodes) for nodes in trees]
    every = np.concatenate(trees)
    tree = np.repeat(np.arange(len(trees)), sizes)
    number = np.concatenate([np.arange(size) for size in sizes])
    leaf = every["is_leaf"].astype(bool)
    return {
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": number.tolist(),
        "nodes_featureids": np.where(leaf, 0, every["feature_idx"]).tolist(),
        "nodes_values": np.where(leaf, 0, every["num_threshold"]).astype(np.float32).tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": np.where(leaf, 0, every["left"]).astype(int).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, every["right"]).astype(int).tolist(),
        "target_treeids": tree[leaf].tolist(),
        "target_nodeids": number[leaf].tolist(),
        "target_ids": (tree[leaf] % targets).tolist(),
        "target_weights": every["value"][leaf].astype(np.float32).tolist(),
    }


def _vectors(task: Task, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return to_tensor(pixels, task.preprocess).reshape(len(pixels), -1)


TREES = Trees()
