"""Tables and figures of generated sequences; imports what `report` does."""
