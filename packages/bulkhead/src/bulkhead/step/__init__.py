"""How a step runs, what it leaves, and the options that steps share."""
