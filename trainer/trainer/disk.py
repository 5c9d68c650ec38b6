"""A disk that is full, or that may not be written to: neither a bug nor a fault of the data.

The agent ends with 64 for it, too: the next try on such a host would end alike, so a person has to
change the host or the folders.
"""

import errno
import re

from trainer.failure import ConfigurationError

# Answers that only who writes gets, so that nothing else has to be known of what was being done.
OF_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
IN_TEXT = re.compile(r"\(os error (\d+)\)")  # libraries in Rust leave the number in their text only
HINT = (
    "the work folder is full, or may not be written: give the host a larger disk, or the work "
    "folder another"
)


def number(error: BaseException) -> int | None:
    """The system's number of what it answered; none where it was not the system."""
    if isinstance(error, OSError):
        return error.errno
    found = IN_TEXT.search(str(error))
    return None if found is None else int(found[1])


def unwritten(what: str, error: BaseException) -> ConfigurationError:
    """The refusal for `what` that the system did not write, with the system's own words."""
    return ConfigurationError(f"{what} could not be written: {error}", HINT)
