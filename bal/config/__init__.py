"""From what a person wrote to a tree of frozen dataclasses, and the one-line messages on the way.

A setting is one value under a dotted key, with the place it came from. The name of an extension is kept under the key
of its slot: `{head: {name: mc_dropout, rate: 0.2}}` in a file is `head = mc_dropout` and `head.rate = 0.2`. Files are
read and laid over each other (`files`), and fill a form: the same tree without its checks (`form`, `convert`). tyro
fills the rest of the form from the command line (`flags`). Only then is the real tree built from it and checked, once:
a later source can repair what an earlier one left out of range.
"""
