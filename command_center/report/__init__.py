"""What people report, and the receipt by which they follow it."""
