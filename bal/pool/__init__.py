"""What can be asked about: regions under stable names, what is labelled of them, and what a label costs."""
