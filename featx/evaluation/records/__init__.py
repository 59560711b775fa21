"""Records of an evaluation: plain frozen values, to and from a dictionary; featx.evaluation exports them."""
