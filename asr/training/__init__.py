"""Everything that needs torch: how the networks are made, trained and exported."""
