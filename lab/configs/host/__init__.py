"""The facts of a host: outputs of its programs, and the files that set its addresses."""
