"""What is told of an evaluation: the command, the page, the picture."""
