"""What instruction sets do, as tables say it: the specs' own `test` lines, and programs' ends."""
