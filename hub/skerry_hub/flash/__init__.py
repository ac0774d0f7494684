"""From a board on a serial line to an enrolled device, and what belongs to that.

command.py    skerry flash: what is asked for, what is told
provision.py  the steps: record pending, copy, write the key, prove, active
plan.py       what is to be done with a board, or why it is not
compile.py    the device's library, compiled
library.py    what a board's library lacks
board.py      one board: its raw REPL, through mpremote
on_board.py   what runs there meanwhile
image.py      skerry image: a file system for boards that are flashed offline
mip.py        a package index for mpremote mip
burn.py       skerry flash --burn: what hardware could keep
doctor.py     skerry doctor: what is wrong, and what to do
ports.py      which boards there are
unix.py       MicroPython's unix port as a board
"""
