"""Pictures of what records hold: for each the marks that the script draws, a sentence, and its numbers as a table.

What is drawn is decided here; how, by Observable Plot in the browser (``static/plots.js``, docs/decisions/0032).
"""
