"""Reports on training runs: logs, TensorBoard, curves, plots, gate statistics and advice."""
