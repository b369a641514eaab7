"""Other emulators' programming interfaces over this one, so that their users' scripts go on working."""
