"""What is known about each loss, for readers: in the terminal, in pages and in pictures."""
