"""Code that the dialects of mem0's clients share: reading their requests, and the form of errors.

Their bodies may have unknown fields, which are ignored. The nine routes refuse such fields.
"""
