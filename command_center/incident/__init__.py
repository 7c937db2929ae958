"""Incidents: one matter, however many sensors, cameras and people report it."""
