"""Labs of an ordinary user, without root: run by a user, each command as a process that has entered nothing."""
