"""The system calls, by what they are about: `table` finds a call, and its module is imported when it is first made."""
