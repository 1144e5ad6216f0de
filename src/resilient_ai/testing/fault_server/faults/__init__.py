"""The faults, a module for each place in an exchange where they strike."""
