"""A page on this machine on which people answer: a small server, and what the browser runs."""
