"""Questions about what the registry holds: lineage, references, comparison, status. They read, and change nothing."""
