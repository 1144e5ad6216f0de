"""The vocabulary and the pure decisions: no I/O, no await, standard library only."""
