package s3gatetest

import "testing"

const h2specHelp = "h2spec (make deps, then name the program that it made in S3GATE_TEST_H2SPEC)"

// H2Spec is the program that tries servers against the specification of HTTP/2:
// the one that S3GATE_TEST_H2SPEC names, else the one on PATH.
func H2Spec(t testing.TB) (path string) {
	t.Helper()
	path, err := findProgram("S3GATE_TEST_H2SPEC", "h2spec")
	Need(t, h2specHelp, err)
	return path
}
