"""How a published model predicts: typed columns, what must be alike, and the model itself, in a step or a notebook.

Needs pandas and pyarrow, and what the model was trained with; nothing else of this package imports it.
"""
