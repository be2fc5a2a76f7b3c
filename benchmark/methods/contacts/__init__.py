"""Contacts by what a checkpoint itself tells of them; imports embedding and core."""
