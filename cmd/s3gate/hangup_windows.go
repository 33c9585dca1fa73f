package main

import "os"

// reloadSignals are those at which the settings are read again: Windows has none.
func reloadSignals() []os.Signal { return nil }
