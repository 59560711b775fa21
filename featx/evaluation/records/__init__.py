"""Records of an evaluation: frozen dataclasses that convert to and from dictionaries; featx.evaluation exports them."""
