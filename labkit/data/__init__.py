"""Images by name or folder: cards, folders, fetching, simulated."""
