"""Where batches are trained: in this process, or on other machines; and a part of them alone."""
