"""The fusions, by what they are made of: sums, pairs, outer products, tiles."""
