"""From blank servers to a restored tree: what `make demo` runs."""
