"""From tables to examples, their digests and relatives; imports core."""
