"""Your models: a file each. docs/your-own-model.md shows how; Bulkhead itself never changes this folder."""
