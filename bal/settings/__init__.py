"""From what a person wrote to a tree of frozen dataclasses, and the one-line messages on the way.

A setting is one value under a dotted key, with the place it came from. The name of an extension is kept under the key
of its slot: `{head: {name: mc_dropout, rate: 0.2}}` in a file and `--head mc_dropout --head.rate 0.2` are both
`head = mc_dropout` and `head.rate = 0.2`. So files (`files`) and flags (`flags`) become the same thing, are laid over
each other (`layers`), and are checked and built once, at the end (`tree`, `convert`): a later source can repair what an
earlier one left incomplete, and a mistake is named in the same words wherever it was made.
"""
