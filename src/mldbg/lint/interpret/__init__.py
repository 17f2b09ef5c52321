"""From libcst trees to facts: an abstract interpreter that all rules share."""
