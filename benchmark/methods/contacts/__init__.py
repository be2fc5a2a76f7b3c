"""Contacts from attention maps or a checkpoint's own head; imports embedding and core."""
