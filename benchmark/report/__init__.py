"""Tables of Records and their rendering; it imports run, stats, results, data and core."""
