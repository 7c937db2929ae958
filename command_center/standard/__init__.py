"""Standards of filing: under which condition a matter is filed, when it counts as done, and how long that may take."""
