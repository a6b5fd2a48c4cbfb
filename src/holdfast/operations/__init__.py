"""One module or folder for each verb: its options, its result, and a function that does it.

A verb reads from top to bottom as the thing it does. Here the two pillars meet: `store`, which
turns ids into bytes, and `model`, which says what the bytes mean. Verbs never call verbs.
"""
