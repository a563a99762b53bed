"""What a verb of `mote` ends with: the four exit statuses and the one exception that is for the person."""

DONE = 0
FAILED = 1  # checked, and the answer is no
USAGE = 2
UNREACHABLE = 3  # no answer in time, or nothing there to ask


class UserError(Exception):
    """Something the person can mend: printed as `mote: TEXT` by main(), which then exits with `status`."""

    def __init__(self, text, status=USAGE):
        super().__init__(text)
        self.status = status


class Trouble(UserError):
    """The same in two parts: `what` is wrong, and what to `do` about it. `mote doctor` shows them apart."""

    def __init__(self, what, do, status=FAILED):
        super().__init__(f"{what}: {do}", status)
        self.what = what
        self.do = do
