"""What every image of Bulkhead agrees on: records, the registry, run folders, result files, errors."""
