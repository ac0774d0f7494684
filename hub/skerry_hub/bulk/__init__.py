"""Many devices at once: skerry import, skerry export, skerry label.

table.py      CSV and JSON Lines, with the line and column of what is wrong
transport.py  keys on the way between two machines, wrapped
weak.py       keys that are no secret of one device
importing.py  skerry import
exporting.py  skerry export
label.py      labels with a QR code; label_text.py is what the code says
"""
