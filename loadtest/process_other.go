//go:build !linux

package loadtest

import "errors"

func usageOf(int) (used, error) { return used{}, errors.New("can only be watched on Linux") }
