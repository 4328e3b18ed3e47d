"""The speed of the cluster: what `make bench` runs."""
