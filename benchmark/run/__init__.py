"""One run, from its parts to its Record; it imports all but report and cli."""
