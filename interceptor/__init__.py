"""One batch of image bytes in, classified records and rejects out.

Pure: numpy, scipy and Pillow, no input or output, no clock of its own. It imports nothing of ours.
"""

from flumen.interceptor.batch import Batch, ImageMessage, Intercepted, Reject, partition
from flumen.interceptor.chain import DEFAULT_CHAIN, Context, Interceptor, Limits, intercept, load_chain
from flumen.interceptor.classifier import Classifier, Preprocess
from flumen.interceptor.columns import Column, Kind, merge_columns

__all__ = [
    "DEFAULT_CHAIN",
    "Batch",
    "Classifier",
    "Column",
    "Context",
    "ImageMessage",
    "Intercepted",
    "Interceptor",
    "Kind",
    "Limits",
    "Preprocess",
    "Reject",
    "intercept",
    "load_chain",
    "merge_columns",
    "partition",
]
