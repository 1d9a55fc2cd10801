"""The engine `cuda`: all runs of one shape learn at the same time, as one stacked network, on a GPU."""
