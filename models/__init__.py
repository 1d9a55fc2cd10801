"""What a model is: its manifest, ONNX Runtime, the repository, the current slot; training and evaluation."""
