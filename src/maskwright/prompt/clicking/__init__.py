"""How many clicks a prompter needs for a good mask."""
