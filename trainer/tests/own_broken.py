"""A module that cannot be imported for a reason of its own."""

import no_such_module_of_mine  # noqa: F401
