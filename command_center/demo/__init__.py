"""The demo city: real division codes and names, synthetic geometry (示意), a catalogue and its series."""
