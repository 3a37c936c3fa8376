"""What a training run reports: events, logs, TensorBoard, curves, plots and advice."""
