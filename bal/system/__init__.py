"""The machine: its devices, its files, what comes from elsewhere, and how a program ends; importing it is cheap."""
