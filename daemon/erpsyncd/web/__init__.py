"""What can be asked of a running daemon over HTTP: is it alive, is it ready, and in numbers how it does."""
