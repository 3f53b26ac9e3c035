"""What the dialects of mem0's own clients share: how their requests are read, and the form of
their errors.

Their bodies have fields of their own, which are passed over here, while the nine routes refuse
what they do not know.
"""
