"""What people look at, derived from finished results: tables, figures, TensorBoard, JSON."""
