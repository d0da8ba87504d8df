"""What is measured about the library: how accurate it is (``accuracy``) and how fast (``speed``)."""
