"""Is a model what it says? Imports backbones, core and pocket."""
