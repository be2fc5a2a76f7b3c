"""Heads on frozen vectors; imports embedding, backbones and finetune."""
