"""For scripts that end, as if they were killed, when some functions are called too often."""

import os


class Cuts:
    """Ends this process at the call of this number, of all functions given to `at`."""

    def __init__(self, number):
        self.left = number

    def at(self, *places):
        """Count the calls of OWNER.NAME, for each place (OWNER, NAME)."""
        for owner, name in places:
            setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, real):
        def called(*arguments, **named):
            self.left -= 1
            if self.left == 0:
                os._exit(9)
            return real(*arguments, **named)

        return called
